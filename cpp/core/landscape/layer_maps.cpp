#include "landscape/layer_maps.hpp"

#include <limits>

#include "eigen/dense.hpp"

namespace deeplinear {

RowMatrix root_of_covariance(const Problem& problem) {
  const int d = problem.net.widths[0];
  if (problem.risk.by_modes<double>()) {
    const auto rank = Eigen::Index(problem.risk.modes.target.size());
    return Eigen::Map<const RowMatrix>(problem.risk.modes.transposed.data(), d, rank);
  }
  const Eigen::Map<const RowMatrix> C(problem.risk.covariance.data(), d, d);
  const SymmetricEigen eigen = symmetric_eigen(C);
  const Eigen::VectorXd& values = eigen.values;
  const double rounding = d * std::numeric_limits<double>::epsilon() * values[d - 1];
  int first = 0;
  while (first < d - 1 && values[first] <= rounding) ++first;
  return eigen.vectors.rightCols(d - first) *
         values.tail(d - first).cwiseMax(0.0).cwiseSqrt().asDiagonal();
}

Eigen::MatrixXd gauss_newton_matrix(Landscape& landscape, const RowMatrix& B, Stop& stop) {
  const Layout& net = landscape.problem().net;
  Eigen::MatrixXd M = Eigen::MatrixXd::Zero(B.cols(), B.cols());
  for_each_map(landscape, B, [&](int k, const RowMatrix& F) {
    const Eigen::Map<const Eigen::VectorXd> u(landscape.u(k), net.rows(k));
    M.selfadjointView<Eigen::Lower>().rankUpdate(F.transpose(), 2 * u.squaredNorm());
    return !stop.poll();
  });
  return M;
}

double hessian_trace(Landscape& landscape, const RowMatrix& B, Stop& stop) {
  const Layout& net = landscape.problem().net;
  double trace = 0;
  for_each_map(landscape, B, [&](int k, const RowMatrix& F) {
    const Eigen::Map<const Eigen::VectorXd> u(landscape.u(k), net.rows(k));
    trace += 2 * u.squaredNorm() * F.squaredNorm();
    return !stop.poll();
  });
  return trace;
}

}  // namespace deeplinear
