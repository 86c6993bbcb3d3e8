// Sight: what a record sees of a run. What is expensive is computed when it is first asked for, and
// once for all observables of a record.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "hessian/extremes.hpp"
#include "landscape/by_samples.hpp"
#include "landscape/linear.hpp"
#include "observe/layer_spectra.hpp"
#include "threads/stop.hpp"

namespace deeplinear {

// Relative residual that recorded eigenvalues are computed to
inline constexpr double recorded_tolerance = 1e-8;

// What a step knows of the risk. A step through the samples knows the excess alone.
struct RiskValues {
  double excess = 0, squared_distance = 0, test_risk = 0;
};

// How far the eigenvalues of an observable have converged
struct Accuracy {
  double residual = 0;           // the largest of all records, relative to the value
  std::int64_t unconverged = 0;  // eigenvalues that missed the tolerance
};

class Sight {
 public:
  // Writes the weights (P,) as they are in the run's own precision.
  using CopyWeights = std::function<void(std::span<double>)>;

  // With `follows` an eigenvector is the first guess of the next one of the same run.
  Sight(const Problem& problem, Team& team, Stop& stop, bool follows)
      : problem_(problem), team_(team), stop_(stop), follows_(follows) {}

  // What the next records are of: the weights of a run, which must outlive them, and its risk
  void turn_to(std::int64_t run, const Weights& weights, CopyWeights copy);
  void take(const RiskValues& values) { values_ = values; }

  // The risk at the weights, where no step knows it
  RiskValues risk_values(bool with_test_risk);

  const Problem& problem() const { return problem_; }
  const Layout& net() const { return problem_.net; }
  Team& team() { return team_; }
  Stop& stop() { return stop_; }
  const Weights& weights() const { return weights_; }
  void copy_weights(std::span<double> out) const { copy_(out); }

  double excess() const { return values_.excess; }
  double squared_distance();
  double test_risk();

  // Calls body with the landscape at the weights.
  template <class Body>
  auto at_landscape(Body body) {
    return problem_.by_samples() ? body(by_samples()) : body(linear());
  }
  Landscape& linear();
  SampleLandscape& by_samples();

  const std::vector<LayerSpectrum>& spectra();

  // B of C = B B^T, the same for every record
  const RowMatrix& root_of_covariance();

  // The extreme one first; fewer where it was stopped
  std::vector<double> extreme_eigenvalues(bool largest, int count);

  // Where the accuracy of what is written next is noted
  void note_in(Accuracy& accuracy) { accuracy_ = &accuracy; }
  void note(const Sharpness& found);
  LanczosOptions lanczos_options();

 private:
  const Problem& problem_;
  Team& team_;
  Stop& stop_;
  const bool follows_;
  std::int64_t run_ = -1;
  RiskValues values_;
  Weights weights_;
  CopyWeights copy_;
  std::unique_ptr<Landscape> linear_;
  std::unique_ptr<SampleLandscape> by_samples_;
  bool evaluated_ = false, has_spectra_ = false;
  std::vector<LayerSpectrum> spectra_;
  std::optional<RowMatrix> root_;
  Accuracy* accuracy_ = nullptr;

  // The eigenvector that was found last, along a run of a large network: each record has its own,
  // which no other record changes.
  struct Guess {
    Direction vector;
    std::int64_t run = -1;
  };
  std::map<const Accuracy*, Guess> guesses_;
};

}  // namespace deeplinear
