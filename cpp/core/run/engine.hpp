// Engine: how runs meet the processor. Each is a line of a table, from which a simulation takes the
// one that it names, or else the first that prefers the problem.
#pragma once

#include <span>

#include "observe/recorder.hpp"
#include "run/plan.hpp"

namespace deeplinear {

struct Engine {
  const char* name;
  const char* meaning;

  // Why it can't run a problem, in words that go on from "where"; null where it can
  const char* (*lacks)(const Problem&);

  // This depends on the problem alone, so that a run is the same whatever else runs beside it.
  bool (*prefers)(const Problem&);

  // Advance weights (runs, P) in place. A run that was stopped on its way is unfinished, and its
  // weights are those after the steps that it took.
  Outcome (*in_float64)(const Problem&, const Plan&, double*, const Records&, Stop&);
  Outcome (*in_float32)(const Problem&, const Plan&, float*, const Records&, Stop&);

  // How many numbers a run keeps beside its weights after so many steps
  std::ptrdiff_t (*state_size_in_float64)(const Problem&, const Fixed&, std::int64_t run,
                                          std::int64_t steps);
  std::ptrdiff_t (*state_size_in_float32)(const Problem&, const Fixed&, std::int64_t run,
                                          std::int64_t steps);
};

std::span<const Engine> engines();

const Engine& preferred_engine(const Problem& problem);

// On the device of the plan, as by Engine::in_float64
Outcome run_on_device(const Problem&, const Plan&, double*, const Records&, Stop&);
Outcome run_on_device(const Problem&, const Plan&, float*, const Records&, Stop&);

}  // namespace deeplinear
