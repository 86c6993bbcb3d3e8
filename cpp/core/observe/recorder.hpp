// Recorder: writes what is asked for of a run into its slot.
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <limits>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include "observe/observable.hpp"
#include "observe/sight.hpp"

namespace deeplinear {

// An observable and where its numbers go: an array (runs, slots, size) filled with NaN
struct Record {
  const Observable* observable = nullptr;
  std::int64_t size = 1;
  double* array = nullptr;
};

// What is recorded of every run
struct Records {
  std::vector<Record> list;
  std::int64_t slots = 2;  // records of a run, its start and its end included
  // Called with the weights (P,) of a run for every slot, on any thread; null where nobody wants it
  std::function<void(std::int64_t run, std::int64_t slot, std::span<const double> weights)> visit;
};

// One per team
class Recorder {
 public:
  Recorder(const Problem& problem, const Records& records, Team& team, Stop& stop, bool follows)
      : problem_(problem),
        records_(records),
        sight_(problem, team, stop, follows),
        accuracies_(records.list.size()) {
    for (const Record& record : records.list) {
      const bool known = record.observable->known_to_step && !problem.by_samples();
      wants_weights_ = wants_weights_ || !(known || is(record, "risk"));
      wants_test_risk_ = wants_test_risk_ || is(record, "test_risk");
    }
    wants_weights_ = wants_weights_ || records.visit;
  }

  // Whether something is asked for that a step does not compute on its way
  bool wants_weights() const { return wants_weights_; }
  bool wants_test_risk() const { return wants_test_risk_; }

  // Of weights whose risk is known
  void write(std::int64_t run, std::int64_t slot, const RiskValues& values) {
    sight_.take(values);
    for_each_record([&](std::size_t i) {
      if (records_.list[i].observable->known_to_step) write(i, run, slot);
    });
  }
  void write(std::int64_t run, std::int64_t slot, const RiskValues& values, const Weights& weights,
             Sight::CopyWeights copy) {
    sight_.turn_to(run, weights, std::move(copy));
    sight_.take(values);
    write_all(run, slot);
  }

  // Of weights that no step holds (dense output)
  void write(std::int64_t run, std::int64_t slot, const Weights& weights, Sight::CopyWeights copy) {
    sight_.turn_to(run, weights, std::move(copy));
    sight_.take(sight_.risk_values(wants_test_risk_));
    write_all(run, slot);
  }

  // A run that converged keeps its last values to the end.
  void carry_forward(std::int64_t run, std::int64_t from) {
    for (const Record& record : records_.list) {
      const double* last = slot_of(record, run, from);
      for (std::int64_t slot = from + 1; slot < records_.slots; ++slot) {
        std::copy_n(last, record.size, slot_of(record, run, slot));
      }
    }
  }

  // Of each record
  const std::vector<Accuracy>& accuracies() const { return accuracies_; }

 private:
  static bool is(const Record& record, std::string_view name) {
    return name == record.observable->name;
  }

  double* slot_of(const Record& record, std::int64_t run, std::int64_t slot) const {
    return record.array + (run * records_.slots + slot) * record.size;
  }

  template <class Body>
  void for_each_record(Body body) {
    for (std::size_t i = 0; i < records_.list.size(); ++i) body(i);
  }

  void write_all(std::int64_t run, std::int64_t slot) {
    for_each_record([&](std::size_t i) { write(i, run, slot); });
    if (!records_.visit || sight_.stop().poll()) return;
    visited_.resize(std::size_t(problem_.net.parameters));
    sight_.copy_weights(visited_);
    records_.visit(run, slot, visited_);
  }

  void write(std::size_t i, std::int64_t run, std::int64_t slot) {
    const Record& record = records_.list[i];
    const std::span<double> out(slot_of(record, run, slot), std::size_t(record.size));
    sight_.note_in(accuracies_[i]);
    record.observable->write(sight_, out);
    // What was cut short is not recorded.
    if (!record.observable->known_to_step && sight_.stop().requested()) {
      std::fill(out.begin(), out.end(), std::numeric_limits<double>::quiet_NaN());
    }
  }

  const Problem& problem_;
  const Records& records_;
  Sight sight_;
  std::vector<Accuracy> accuracies_;
  bool wants_weights_ = false, wants_test_risk_ = false;
  std::vector<double> visited_;
};

}  // namespace deeplinear
