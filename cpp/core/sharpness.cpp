#include "sharpness.hpp"

#include <algorithm>
#include <limits>

#include <Eigen/Eigenvalues>

#include "compressed.hpp"
#include "full_hessian.hpp"

namespace deeplinear {
namespace {

// Up to this dimension a dense eigensolver is as fast as Lanczos, and sees every eigenvalue.
constexpr Eigen::Index largest_dense_dimension = 24;

template <class Operator>
Eigenpair dense_extreme_eigenpair(Operator& H, bool largest) {
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

template <class Operator>
Eigenpair extreme_eigenpair_of(Operator& H, const LanczosOptions& options) {
  if (H.dimension() <= largest_dense_dimension) return dense_extreme_eigenpair(H, options.largest);
  return extreme_eigenpair(H, options);
}

// What there is to say where the Hessian is not finite
Sharpness not_finite(const Layout& net, double* vector) {
  constexpr double nan = std::numeric_limits<double>::quiet_NaN();
  if (vector) std::fill_n(vector, net.parameters, nan);
  return {nan, nan, 0, false};
}

}  // namespace

Sharpness extreme_eigenvalue(const Landscape<Pack<double, 1>>& landscape, LanczosOptions options,
                             double* vector, const double* start) {
  const Layout& net = landscape.problem().net;
  if (!landscape.finite()) return not_finite(net, vector);
  CompressedHessian H(landscape);
  const bool has_null_space = net.parameters > H.dimension();
  Eigenpair pair;
  if (H.dimension() > 0) {
    Eigen::VectorXd first(H.size());
    if (start) {
      H.compress(start, first);
      options.start = &first;
    }
    pair = extreme_eigenpair_of(H, options);
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

Sharpness extreme_eigenvalue(SampleLandscape& landscape, LanczosOptions options, double* vector,
                             const double* start) {
  const Layout& net = landscape.problem().net;
  if (!landscape.finite()) return not_finite(net, vector);
  FullHessian H(landscape);
  Eigen::VectorXd first;
  if (start) {
    first = Eigen::Map<const Eigen::VectorXd>(start, net.parameters);
    options.start = &first;
  }
  const Eigenpair pair = extreme_eigenpair_of(H, options);
  if (vector) std::copy_n(pair.vector.data(), net.parameters, vector);
  return {pair.value, pair.residual, pair.products, pair.converged};
}

}  // namespace deeplinear
