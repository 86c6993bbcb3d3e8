// The algebraic largest (sharpness) or smallest eigenvalue of the Hessian over all weights.
#pragma once

#include <cstdint>

#include "lanczos.hpp"
#include "landscape.hpp"
#include "sample_landscape.hpp"

namespace deeplinear {

struct Sharpness {
  double value = 0;
  double residual = 0;
  std::int64_t products = 0;
  bool converged = true;
};

// At the weights at which the landscape was evaluated. Fills vector (P,) with the unit eigenvector
// if it is not null; start (P,) is a first guess of it, or null.
Sharpness extreme_eigenvalue(const Landscape<Pack<double, 1>>& landscape, LanczosOptions options,
                             double* vector = nullptr, const double* start = nullptr);
Sharpness extreme_eigenvalue(SampleLandscape& landscape, LanczosOptions options,
                             double* vector = nullptr, const double* start = nullptr);

}  // namespace deeplinear
