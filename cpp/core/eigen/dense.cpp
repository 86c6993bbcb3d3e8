#include "eigen/dense.hpp"

#include <algorithm>

#include <Eigen/Eigenvalues>

namespace deeplinear {
namespace {

using Solver = Eigen::SelfAdjointEigenSolver<Eigen::MatrixXd>;

SymmetricEigen result(const Solver& solver) {
  return {solver.eigenvalues(), solver.eigenvectors(), solver.info() == Eigen::Success};
}

}  // namespace

SymmetricEigen symmetric_eigen(const Eigen::Ref<const Eigen::MatrixXd>& A) {
  return result(Solver(A));
}

double largest_eigenvalue(const Eigen::Ref<const Eigen::MatrixXd>& A) {
  return Solver(A, Eigen::EigenvaluesOnly).eigenvalues().tail(1)[0];
}

Eigen::VectorXd singular_values(const Eigen::Ref<const Eigen::MatrixXd>& W) {
  const Eigen::Index rows = W.rows(), cols = W.cols(), count = std::min(rows, cols);
  // Of order one: the eigensolver takes what is small beside one for rounding.
  const double largest = W.cwiseAbs().maxCoeff(), unit = largest > 0 ? largest : 1;
  Eigen::MatrixXd A = Eigen::MatrixXd::Zero(rows + cols, rows + cols);
  A.bottomLeftCorner(cols, rows) = W.transpose() / unit;
  const Eigen::VectorXd values = Solver(A, Eigen::EigenvaluesOnly).eigenvalues();
  return (unit * values.tail(count).reverse()).cwiseMax(0.0);
}

SymmetricEigen tridiagonal_eigen(const Eigen::VectorXd& diagonal,
                                 const Eigen::VectorXd& subdiagonal) {
  Solver solver;
  solver.computeFromTridiagonal(diagonal, subdiagonal);
  return result(solver);
}

}  // namespace deeplinear
