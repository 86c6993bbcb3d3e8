// The Gauss-Newton part of the Hessian, J^T (2 C) J with J = dw/dW, or (2/n) J^T J with J = df/dW
// where the risk is a mean over the samples: what is left of the Hessian where nothing remains.
#pragma once

#include "eigen/dense.hpp"
#include "landscape/layer_maps.hpp"
#include "observe/sight.hpp"

namespace deeplinear::records {

inline constexpr Observable gauss_newton{
    .name = "gauss_newton",
    .meaning = "largest eigenvalue of the Gauss-Newton part of the Hessian",
    .write = [](Sight& sight, std::span<double> out) {
      const Eigen::MatrixXd M =
          sight.problem().by_samples()
              ? sight.by_samples().gauss_newton_matrix()
              : gauss_newton_matrix(sight.linear(), sight.root_of_covariance(), sight.stop());
      if (M.allFinite() && !sight.stop().poll()) out[0] = largest_eigenvalue(M);
    }};

}  // namespace deeplinear::records
