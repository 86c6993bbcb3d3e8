// The weights of a run, in its own precision.
#pragma once

#include "observe/sight.hpp"

namespace deeplinear::records {

inline constexpr Observable weights{
    .name = "weights",
    .meaning = "weights of all layers, one after another",
    .axes = {Axis::parameter},
    .write = [](Sight& sight, std::span<double> out) { sight.copy_weights(out); }};

}  // namespace deeplinear::records
