// tr H: of a linear network 2 sum_k |u_k|^2 tr(A_k C A_k^T).
#pragma once

#include "hessian/full.hpp"
#include "landscape/layer_maps.hpp"
#include "observe/sight.hpp"

namespace deeplinear::records {

inline constexpr Observable hessian_trace{
    .name = "hessian_trace",
    .meaning = "trace of the Hessian",
    .write = [](Sight& sight, std::span<double> out) {
      out[0] =
          sight.problem().by_samples()
              ? FullHessian(sight.by_samples()).trace(sight.stop())
              : deeplinear::hessian_trace(sight.linear(), sight.root_of_covariance(), sight.stop());
    }};

}  // namespace deeplinear::records
