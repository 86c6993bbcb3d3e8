// How a run can end.
#pragma once

#include <cstdint>

namespace deeplinear {

// Overflowed and underflowed: a product of the layers was out of range at the start.
enum class Status : std::int32_t {
  unfinished,
  completed,
  converged,
  diverged,
  overflowed,
  underflowed,
  max_steps,
  stiff
};

struct StatusEntry {
  const char* name;
  const char* meaning;  // and what helps
};

// In the order of Status
inline constexpr StatusEntry statuses[] = {
    {"unfinished", "stopped by Ctrl-C on its way"},
    {"completed", "took all of its steps, or arrived at the end of time"},
    {"converged", "its excess risk fell to the tolerance"},
    {"diverged",
     "the risk or its gradient overflowed: take a smaller learning rate or step; of dopri5, at the "
     "start alone: take a smaller scale, or float64"},
    {"overflowed",
     "a product of the initial layers, or the risk there, is too large for the dtype: take a "
     "smaller scale"},
    {"underflowed",
     "a product of the initial layers, or the square of the targets, is too small for the dtype: "
     "take a larger scale, rescale the data, or take float64"},
    {"max_steps",
     "dopri5 tried as many steps as it may before the end of time: raise max_steps, or rtol and "
     "atol, or stop at a tolerance"},
    {"stiff",
     "no step above the rounding of the time is short enough for dopri5: lower rtol and atol, with "
     "which the steps before are shorter, or scale the data"},
};

}  // namespace deeplinear
