// Dense symmetric eigenproblems, by Eigen; in a unit of their own, since they take long to compile.
#pragma once

#include <Eigen/Core>

namespace deeplinear {

// A V = V diag(values), V^T V = I, ascending
struct SymmetricEigen {
  Eigen::VectorXd values;
  Eigen::MatrixXd vectors;
  bool converged = false;
};

// Of the lower triangle of A
SymmetricEigen symmetric_eigen(const Eigen::Ref<const Eigen::MatrixXd>& A);

// Of the lower triangle of A alone
double largest_eigenvalue(const Eigen::Ref<const Eigen::MatrixXd>& A);

// All min(m, n) of W (m, n), descending, to the rounding of the largest: those of the symmetric
// matrix [0 W; W^T 0], whose solver is compiled anyhow.
Eigen::VectorXd singular_values(const Eigen::Ref<const Eigen::MatrixXd>& W);

// Of the tridiagonal matrix with the diagonal (n,) and the subdiagonal (n - 1,). Entries should be
// of order one: what is small beside one passes for rounding.
SymmetricEigen tridiagonal_eigen(const Eigen::VectorXd& diagonal,
                                 const Eigen::VectorXd& subdiagonal);

}  // namespace deeplinear
