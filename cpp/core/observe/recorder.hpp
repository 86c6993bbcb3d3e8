// Recorder: writes what is asked for of a run into its slot.
#pragma once

#include <algorithm>
#include <cmath>
#include <functional>

#include "hessian/extremes.hpp"
#include "observe/layer_spectra.hpp"
#include "run/simulate.hpp"

namespace deeplinear {

// One per team. A slot is a record of a run.
template <class Landscape>
class Recorder {
 public:
  Recorder(const Problem& problem, const Plan& plan, const Records& records, Team& team,
           std::function<bool()> interrupted)
      : problem_(problem),
        plan_(plan),
        records_(records),
        team_(team),
        interrupted_(std::move(interrupted)),
        landscape_(problem, team) {}

  // Whether something is asked for that a step does not compute on its way.
  bool wants_probes() const {
    return records_.any_probe() ||
           (Landscape::by_samples && (records_.distance || records_.test_risk));
  }
  bool wants_test_risk() const { return records_.test_risk != nullptr; }

  void write_risk(std::int64_t run, std::int64_t slot, double excess) {
    put(records_.risk, run, slot, problem_.risk.minimum + excess);
  }

  // What the risk of a linear map brings with it
  void write_map(std::int64_t run, std::int64_t slot, double squared_distance, double test_risk) {
    put(records_.distance, run, slot, squared_distance);
    put(records_.test_risk, run, slot, test_risk);
  }

  void write_probes(std::int64_t run, std::int64_t slot, const Weights& weights) {
    const Layout& net = problem_.net;
    const bool eigenvalues = records_.sharpness || records_.lowest_eigenvalue;
    if (eigenvalues || Landscape::by_samples) {
      landscape_.evaluate(weights);
    }
    if constexpr (Landscape::by_samples) {
      if (records_.distance) put(records_.distance, run, slot, landscape_.squared_distance());
      if (records_.test_risk) put(records_.test_risk, run, slot, landscape_.test_risk());
    }
    if (eigenvalues) {
      write_eigenvalue(records_.sharpness, run, slot, true);
      write_eigenvalue(records_.lowest_eigenvalue, run, slot, false);
      if (plan_.wide) guess_run_ = run;
    }
    if (records_.layer_norm || records_.rank_one_gap || records_.alignment) {
      const auto spectra = layer_spectra(net, weights, team_, interrupted_);
      const int depth = interrupted_() ? 0 : net.depth();  // what was cut short is not recorded
      for (int k = 0; k < depth; ++k) {
        put(records_.layer_norm, run, slot, spectra[k].first, k, depth);
        put(records_.rank_one_gap, run, slot, rank_one_gap(spectra[k]), k, depth);
        if (k + 1 < depth) {
          put(records_.alignment, run, slot, alignment(spectra[k], spectra[k + 1]), k, depth - 1);
        }
      }
    }
    if (records_.balancedness) {
      const double largest = balancedness(net, weights, interrupted_);
      if (!interrupted_()) put(records_.balancedness, run, slot, largest);
    }
  }

  // Everything at once, for weights that no step holds (dense output).
  void write_all(std::int64_t run, std::int64_t slot, const Weights& weights) {
    landscape_.evaluate(weights);
    write_risk(run, slot, landscape_.excess());
    if constexpr (!Landscape::by_samples) {
      auto& risk = landscape_.risk();
      write_map(run, slot, risk.squared_distance().lane(0),
                wants_test_risk() ? risk.test_offset() + risk.test_excess().lane(0) : 0.0);
    }
    write_probes(run, slot, weights);
  }

  // A run that converged keeps its last values to the end.
  void carry_forward(std::int64_t run, std::int64_t from) {
    const int depth = problem_.net.depth();
    for (double* array : {records_.risk, records_.test_risk, records_.distance, records_.sharpness,
                          records_.lowest_eigenvalue, records_.balancedness}) {
      carry(array, run, from, 1);
    }
    carry(records_.layer_norm, run, from, depth);
    carry(records_.rank_one_gap, run, from, depth);
    carry(records_.alignment, run, from, depth - 1);
  }

  double largest_residual() const { return largest_residual_; }
  std::int64_t unconverged() const { return unconverged_; }

 private:
  void put(double* array, std::int64_t run, std::int64_t slot, double value, int inner = 0,
           int size = 1) {
    if (array) array[(run * plan_.records + slot) * size + inner] = value;
  }

  void carry(double* array, std::int64_t run, std::int64_t from, int size) {
    if (!array) return;
    double* row = array + run * plan_.records * size;
    for (std::int64_t slot = from + 1; slot < plan_.records; ++slot) {
      std::copy_n(row + from * size, size, row + slot * size);
    }
  }

  void write_eigenvalue(double* array, std::int64_t run, std::int64_t slot, bool largest) {
    if (!array) return;
    LanczosOptions options;
    options.largest = largest;
    options.tolerance = recorded_tolerance;
    options.interrupted = interrupted_;
    Direction& guess = guess_[largest ? 1 : 0];
    const bool follows = guess_run_ == run;
    Sharpness result = extreme_eigenvalue(landscape_, options, follows ? &guess : nullptr);
    if (interrupted_()) return;  // cut short
    if (plan_.wide) guess = std::move(result.vector);
    put(array, run, slot, result.value);
    if (!result.converged) ++unconverged_;
    if (largest && result.value != 0) {
      largest_residual_ = std::max(largest_residual_, std::abs(result.residual / result.value));
    }
  }

  const Problem& problem_;
  const Plan& plan_;
  const Records& records_;
  Team& team_;
  std::function<bool()> interrupted_;
  Landscape landscape_;
  // Along a run of a large network an eigenvector is the first guess of the next.
  Direction guess_[2];
  std::int64_t guess_run_ = -1;
  double largest_residual_ = 0;
  std::int64_t unconverged_ = 0;
};

}  // namespace deeplinear
