// |grad R| over all layers; of a linear network |grad_k| = |u_k| |v_{k-1}|.
#pragma once

#include <Eigen/Core>

#include "observe/sight.hpp"

namespace deeplinear::records {

namespace detail {

inline double norm_of_gradient(Landscape& landscape) {
  const Layout& net = landscape.problem().net;
  Eigen::VectorXd norms(net.depth());
  for (int k = 1; k <= net.depth(); ++k) {
    const Eigen::Map<const Eigen::VectorXd> u(landscape.u(k), net.rows(k));
    const Eigen::Map<const Eigen::VectorXd> v(landscape.v(k - 1), net.cols(k));
    norms[k - 1] = u.stableNorm() * v.stableNorm();
  }
  return norms.stableNorm();
}

inline double norm_of_gradient(SampleLandscape& landscape) {
  Eigen::VectorXd gradient(landscape.problem().net.parameters);
  landscape.gradient(gradient.data());
  return gradient.stableNorm();
}

}  // namespace detail

inline constexpr Observable gradient_norm{.name = "gradient_norm",
                                          .meaning = "norm of the gradient over all layers",
                                          .write = [](Sight& sight, std::span<double> out) {
                                            out[0] = sight.at_landscape([](auto& landscape) {
                                              return detail::norm_of_gradient(landscape);
                                            });
                                          }};

}  // namespace deeplinear::records
