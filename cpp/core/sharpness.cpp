#include "sharpness.hpp"

#include <algorithm>
#include <limits>

#include <Eigen/Eigenvalues>

#include "compressed.hpp"

namespace deeplinear {
namespace {

// Up to this dimension a dense eigensolver is as fast as Lanczos, and sees every eigenvalue.
constexpr Eigen::Index largest_dense_dimension = 24;

Eigenpair dense_extreme_eigenpair(CompressedHessian& H, bool largest) {
  const Eigen::MatrixXd basis = H.basis();
  const Eigen::SelfAdjointEigenSolver<Eigen::MatrixXd> solver(H.matrix(basis));
  const auto index = largest ? H.dimension() - 1 : 0;
  Eigenpair pair;
  pair.vector = basis * solver.eigenvectors().col(index);
  Eigen::VectorXd product(H.size());
  H.apply(pair.vector, product);
  pair.value = solver.eigenvalues()[index];
  pair.residual = (product - pair.value * pair.vector).norm();
  pair.products = H.dimension() + 1;
  pair.converged = solver.info() == Eigen::Success;
  return pair;
}

}  // namespace

Sharpness extreme_eigenvalue(const Landscape<Pack<double, 1>>& landscape, LanczosOptions options,
                             double* vector, const double* start) {
  const Layout& net = landscape.problem().net;
  if (!landscape.finite()) {
    constexpr double nan = std::numeric_limits<double>::quiet_NaN();
    if (vector) std::fill_n(vector, net.parameters, nan);
    return {nan, nan, 0, false};
  }
  CompressedHessian H(landscape);
  const bool has_null_space = net.parameters > H.dimension();
  Eigenpair pair;
  if (H.dimension() > 0) {
    if (H.dimension() <= largest_dense_dimension) {
      pair = dense_extreme_eigenpair(H, options.largest);
    } else {
      Eigen::VectorXd first(H.size());
      if (start) {
        H.compress(start, first);
        options.start = &first;
      }
      pair = extreme_eigenpair(H, options);
    }
  }
  // The Hessian vanishes on the complement of its range, where an eigenvalue zero may be the
  // extreme one.
  const bool zero_is_extreme = options.largest ? pair.value <= 0 : pair.value >= 0;
  if (has_null_space && (H.dimension() == 0 || zero_is_extreme)) {
    if (vector) H.null_direction(vector);
    return {0, 0, pair.products, H.dimension() == 0 || pair.converged};
  }
  if (vector) H.expand(pair.vector, vector);
  return {pair.value, pair.residual, pair.products, pair.converged};
}

}  // namespace deeplinear
