// Dense symmetric eigenproblems, by Eigen; in a unit of their own, since they take long to compile.
#pragma once

#include <algorithm>
#include <cmath>

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

// Of the tridiagonal matrix with the diagonal (n,) and the subdiagonal (n - 1,). Entries should be
// of order one: what is small beside one passes for rounding.
SymmetricEigen tridiagonal_eigen(const Eigen::VectorXd& diagonal,
                                 const Eigen::VectorXd& subdiagonal);

// A unit in which numbers of that size are of order one, and which rounds none of them; one for
// zero and what is not finite
inline double power_of_two_near(double size) {
  return size > 0 && std::isfinite(size) ? std::exp2(std::clamp(std::ilogb(size), -1000, 1000)) : 1;
}

}  // namespace deeplinear
