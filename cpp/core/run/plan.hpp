// Plan: what every run does. Outcome: what became of it.
#pragma once

#include <cstdint>
#include <variant>
#include <vector>

#include "device/table.hpp"
#include "model/status.hpp"
#include "observe/sight.hpp"
#include "rules/settings.hpp"
#include "scheme/methods.hpp"

namespace deeplinear {

// Steps of a size that is given; gradient descent is Euler's method. Vectors have a number per run.
struct Fixed {
  const Method* method = nullptr;
  std::vector<double> step;
  std::vector<double> last_step;    // size of the last of them
  std::vector<std::int64_t> steps;  // how many in all
  std::int64_t every = 0;           // steps between two records, 0: start and end only
  RuleSettings::Columns rules;      // numbers of the rule, by name; empty: plain descent

  // Of runs that go on: the steps that they have taken, and what they kept beside their weights
  // (Stages::state_size numbers, none where that is 0). Empty: all runs start.
  std::vector<std::int64_t> done;
  std::vector<std::vector<double>> states;
  bool keep_states = false;  // whether runs keep it at their end

  std::int64_t done_by(std::int64_t run) const { return done.empty() ? 0 : done[run]; }
  RuleSettings rule(std::int64_t run) const { return {rules, run}; }
};

// Steps of a size that an error estimate decides
struct Adaptive {
  const Method* method = nullptr;
  double time = 0;   // end
  double every = 0;  // time between two records, 0: start and end only
  std::vector<double> first_step, rtol, atol;
  std::vector<std::int64_t> max_steps;  // how many may be tried
};

struct Plan {
  std::variant<Fixed, Adaptive> steps;
  std::int64_t runs = 0;
  double tolerance = 0;  // a run stops where its excess risk is this small, 0: never
  int threads = 1;
  const DeviceTable* device = nullptr;  // who takes the steps, null: the processor

  bool adaptive() const { return std::holds_alternative<Adaptive>(steps); }
};

struct Outcome {
  std::vector<Status> status;               // (runs,)
  std::vector<std::int64_t> last_step;      // (runs,) steps taken
  std::vector<std::int32_t> out_of_range;   // (runs,) the layer where it over- or underflowed, or 0
  std::vector<Accuracy> accuracies;         // of the records
  std::vector<std::vector<double>> states;  // of the runs, where they keep it
  bool interrupted = false;
};

}  // namespace deeplinear
