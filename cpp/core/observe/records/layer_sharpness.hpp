// The largest eigenvalue of the Hessian in the weights of one layer, the others fixed: of a linear
// network 2 |u_k|^2 lambda_max(A_k C A_k^T), whose residual part has no such block.
#pragma once

#include "eigen/dense.hpp"
#include "hessian/extremes.hpp"
#include "landscape/layer_maps.hpp"
#include "observe/sight.hpp"

namespace deeplinear::records {

namespace detail {

inline void write_layer_sharpness(Landscape& landscape, Sight& sight, std::span<double> out) {
  for_each_map(landscape, sight.root_of_covariance(), [&](int k, const RowMatrix& F) {
    const Eigen::Map<const Eigen::VectorXd> u(landscape.u(k), sight.net().rows(k));
    const double square = u.squaredNorm();
    Eigen::MatrixXd M(std::min(F.rows(), F.cols()), std::min(F.rows(), F.cols()));
    if (F.rows() < F.cols()) {
      M.noalias() = F * F.transpose();
    } else {
      M.noalias() = F.transpose() * F;
    }
    const bool finite = std::isfinite(square) && M.allFinite();
    if (finite) out[std::size_t(k - 1)] = 2 * square * largest_eigenvalue(M);
    return !sight.stop().poll();
  });
}

inline void write_layer_sharpness(SampleLandscape& landscape, Sight& sight, std::span<double> out) {
  for (int k = 1; k <= sight.net().depth() && !sight.stop().poll(); ++k) {
    const Sharpness found = largest_of_layer(landscape, k, sight.lanczos_options());
    sight.note(found);
    out[std::size_t(k - 1)] = found.value;
  }
}

}  // namespace detail

inline constexpr Observable layer_sharpness{
    .name = "layer_sharpness",
    .meaning = "largest eigenvalue of the layer's diagonal block of the Hessian",
    .axes = {Axis::layer},
    .iterative = true,
    .write = [](Sight& sight, std::span<double> out) {
      sight.at_landscape(
          [&](auto& landscape) { detail::write_layer_sharpness(landscape, sight, out); });
    }};

}  // namespace deeplinear::records
