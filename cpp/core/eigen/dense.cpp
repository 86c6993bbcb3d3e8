#include "eigen/dense.hpp"

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

SymmetricEigen tridiagonal_eigen(const Eigen::VectorXd& diagonal,
                                 const Eigen::VectorXd& subdiagonal) {
  Solver solver;
  solver.computeFromTridiagonal(diagonal, subdiagonal);
  return result(solver);
}

}  // namespace deeplinear
