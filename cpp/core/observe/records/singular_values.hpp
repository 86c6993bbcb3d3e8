// All singular values of the layers, descending; NaN beyond those of a thinner layer.
#pragma once

#include "eigen/dense.hpp"
#include "observe/sight.hpp"

namespace deeplinear::records {

inline constexpr Observable singular_values{
    .name = "singular_values",
    .meaning = "singular values of the layer, the largest first",
    .axes = {Axis::layer, Axis::singular_value},
    .write = [](Sight& sight, std::span<double> out) {
      const Layout& net = sight.net();
      const std::size_t most = out.size() / std::size_t(net.depth());
      for (int k = 1; k <= net.depth() && !sight.stop().poll(); ++k) {
        const Eigen::MatrixXd W = dense_layer(net, sight.weights(), k);
        if (!W.allFinite()) continue;
        const Eigen::VectorXd values = deeplinear::singular_values(W);
        std::copy_n(values.data(), values.size(), out.begin() + std::ptrdiff_t(most) * (k - 1));
      }
    }};

}  // namespace deeplinear::records
