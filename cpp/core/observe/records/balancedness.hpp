// What the gradient flow of a linear network conserves.
#pragma once

#include "observe/sight.hpp"

namespace deeplinear::records {

inline constexpr Observable balancedness{
    .name = "balancedness",
    .meaning = "largest Frobenius norm of W_{k+1}^T W_{k+1} - W_k W_k^T over k",
    .write = [](Sight& sight, std::span<double> out) {
      out[0] = deeplinear::balancedness(sight.net(), sight.weights(), sight.stop());
    }};

}  // namespace deeplinear::records
