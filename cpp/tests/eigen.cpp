// Eigenpairs of dense matrices with known spectra, and of tridiagonal ones, against dense solvers.
#include <limits>
#include <vector>

#include <Eigen/Core>

#include "check.hpp"
#include "eigen/dense.hpp"
#include "eigen/lanczos.hpp"
#include "eigen/product_unit.hpp"
#include "eigen/several_pairs.hpp"
#include "eigen/tridiagonal.hpp"
#include "threads/stop.hpp"
#include "threads/team.hpp"

namespace {

using namespace deeplinear;
using namespace deeplinear::tests;
using Eigen::Index;
using Eigen::MatrixXd;
using Eigen::VectorXd;

constexpr double epsilon = std::numeric_limits<double>::epsilon();

MatrixXd some_matrix(Index rows, Index cols, Numbers& numbers) {
  MatrixXd A(rows, cols);
  for (Index i = 0; i < A.size(); ++i) A(i) = numbers.between(-1, 1);
  return A;
}

// From dense.cpp, whose eigenvectors check_dense holds to their definition
MatrixXd orthogonal(Index n, Numbers& numbers) {
  const MatrixXd R = some_matrix(n, n, numbers);
  return symmetric_eigen(R + R.transpose()).vectors;
}

// V diag(values) V^T, exactly symmetric
MatrixXd with_spectrum(const VectorXd& values, const MatrixXd& V) {
  const MatrixXd A = V * values.asDiagonal() * V.transpose();
  return (A + A.transpose()) / 2;
}

// A as an operator on the range of Z, (n, r) with orthonormal columns, where there is one
struct Dense {
  MatrixXd A;
  const MatrixXd* Z = nullptr;
  Team alone{1};
  int products = 0;
  Stop* stops = nullptr;  // requested by the third product

  explicit Dense(MatrixXd A_) : A(std::move(A_)) {}

  Index size() const { return A.rows(); }
  Index dimension() const { return Z ? Z->cols() : A.rows(); }
  Team& team() { return alone; }
  void project(VectorXd& x) const {
    if (Z) x = (*Z * (Z->transpose() * x)).eval();
  }
  void apply(const Eigen::Ref<const VectorXd>& x, VectorXd& y) {
    y = A * x;
    if (++products == 3 && stops) stops->request();
  }
};

// A residual r bounds the error of an eigenvalue: there is one within |r|. Rounding of products is
// some n eps |A|.
void check_pair(Dense& H, const Eigenpair& found, double expected, double tolerance,
                int line = __builtin_LINE()) {
  const double norm = H.A.norm(), rounding = 4 * double(H.size()) * epsilon * norm;
  check(found.converged, line);
  check_close(found.vector.norm(), 1, 1e-12, line);
  const double residual = (H.A * found.vector - found.value * found.vector).norm();
  check(residual <= found.residual + rounding, line);
  check_close(found.value, expected, tolerance * std::abs(expected) + rounding, line);
}

void check_lanczos() {
  Numbers numbers(11);
  for (const Index n : {1, 2, 3, 7, 20, 60}) {
    for (int repeat = 0; repeat < 5; ++repeat) {
      const MatrixXd R = some_matrix(n, n, numbers);
      Dense H(R + R.transpose());
      const VectorXd values = symmetric_eigen(H.A).values;
      for (const bool largest : {true, false}) {
        LanczosOptions options;
        options.largest = largest;
        H.products = 0;
        const auto found = extreme_eigenpair(H, options);
        check_pair(H, found, largest ? values[n - 1] : values[0], options.tolerance);
        check(found.products == H.products && H.products <= n + 1);
      }
    }
  }
}

// Eigenvalues 1 - 1/j crowd at the top: a basis of 12 columns starts again and again.
void check_restarts() {
  Numbers numbers(12);
  const Index n = 300;
  VectorXd values(n);
  for (Index i = 0; i < n; ++i) values[i] = 2 - 3.0 / double(i + 1);
  Dense H(with_spectrum(values, orthogonal(n, numbers)));
  LanczosOptions options;
  options.max_basis = 12;
  options.tolerance = 1e-6;
  check_pair(H, extreme_eigenpair(H, options), values[n - 1], options.tolerance);
  options.largest = false;
  check_pair(H, extreme_eigenpair(H, options), values[0], options.tolerance);
}

// Powers of two round nothing: the same run in other units. Beyond them squares over- or underflow.
void check_units() {
  Numbers numbers(13);
  const MatrixXd R = some_matrix(30, 30, numbers);
  const MatrixXd A = R + R.transpose();
  Dense H(A);
  const LanczosOptions options;
  const double plain = extreme_eigenpair(H, options).value;
  for (const int power : {-900, -600, -40, 40, 600, 900}) {
    Dense scaled(A * std::ldexp(1.0, power));
    const auto found = extreme_eigenpair(scaled, options);
    check(found.converged);
    check_close(found.value / std::ldexp(plain, power), 1, options.tolerance);
  }
}

// The most that there is orthogonal to locked eigenvectors, and on a subspace
void check_locked_and_projected() {
  Numbers numbers(14);
  const Index n = 24;
  const VectorXd values = VectorXd::LinSpaced(n, -3, 5);
  const MatrixXd V = orthogonal(n, numbers);
  Dense H(with_spectrum(values, V));
  for (const Index count : {1, 4, 20}) {
    const MatrixXd locked = V.rightCols(count);
    LanczosOptions options;
    options.locked = &locked;
    const auto found = extreme_eigenpair(H, options);
    check_pair(H, found, values[n - 1 - count], options.tolerance);
    check((locked.transpose() * found.vector).norm() <= 1e-12);
  }
  for (const Index count : {1, 5, 23}) {
    const MatrixXd Z = V.leftCols(count);
    H.Z = &Z;
    check_pair(H, extreme_eigenpair(H, LanczosOptions()), values[count - 1], 1e-8);
  }
}

void check_ends_of_lanczos() {
  Numbers numbers(15);
  const MatrixXd V = orthogonal(40, numbers);
  Dense H(with_spectrum(VectorXd::LinSpaced(40, 0, 1), V));
  LanczosOptions options;
  options.max_products = 6;
  H.products = 0;
  const auto few = extreme_eigenpair(H, options);
  check(!few.converged && few.products == H.products && H.products <= 6);
  check(few.residual > 0 && few.value <= 1 + 1e-12);

  Stop stop(nullptr);
  options = {};
  options.stop = &stop;
  H.products = 0;
  H.stops = &stop;
  check(!extreme_eigenpair(H, options).converged && H.products <= 4);
  H.stops = nullptr;

  // A start that is the answer needs next to no product.
  options = {};
  const VectorXd start = V.col(39);
  options.start = &start;
  options.random = 0;
  H.products = 0;
  check_pair(H, extreme_eigenpair(H, options), 1, options.tolerance);
  check(H.products <= 4);

  H.A(3, 3) = std::numeric_limits<double>::infinity();
  const auto broken = extreme_eigenpair(H, LanczosOptions());
  check(!broken.converged && std::isnan(broken.value));
  Dense none(MatrixXd::Zero(5, 5));
  const auto nothing = extreme_eigenpair(none, LanczosOptions());
  check(nothing.converged && nothing.value == 0);
}

// Repeated eigenvalues as often as they are there, largest or lowest first. Those far from the
// others converge long before the basis is the whole space: it must look for more of them.
void check_several() {
  Numbers numbers(16);
  const Index n = 150;
  VectorXd values = VectorXd::LinSpaced(n, -2, 2);
  values.tail(5) << 10, 20, 40, 40, 40;
  values.head(4) << -50, -50, -25, -12;
  Dense H(with_spectrum(values, orthogonal(n, numbers)));
  for (const bool largest : {true, false}) {
    for (const Index count : {1, 2, 3, 5, 160}) {
      LanczosOptions options;
      options.largest = largest;
      const auto pairs = SeveralEigenpairs<Dense>(H, count, options).run();
      check(Index(pairs.size()) == std::min(count, n));
      for (Index i = 0; i < Index(pairs.size()); ++i) {
        check_pair(H, pairs[std::size_t(i)], largest ? values[n - 1 - i] : values[i], 1e-8);
        for (Index j = 0; j < i; ++j) {
          check_close(pairs[std::size_t(i)].vector.dot(pairs[std::size_t(j)].vector), 0, 1e-12);
        }
      }
    }
  }
}

MatrixXd tridiagonal(const VectorXd& a, const VectorXd& b) {
  MatrixXd T = a.asDiagonal();
  T.diagonal(1) = b;
  T.diagonal(-1) = b;
  return T;
}

// The root is to a few roundings of |T|, a step of Laguerre's iteration is no shorter than that.
void check_tridiagonal() {
  Numbers numbers(17);
  for (int repeat = 0; repeat < 200; ++repeat) {
    const Index n = 1 + numbers.below(30);
    VectorXd a(n), b(n - 1);
    for (Index i = 0; i < n; ++i) a[i] = numbers.between(-1, 1);
    for (Index i = 0; i + 1 < n; ++i) b[i] = numbers.between(0, repeat % 3 ? 1 : 1e-6);
    const MatrixXd T = tridiagonal(a, b);
    const double norm = T.norm(), rounding = 16 * double(n) * epsilon * norm;
    const VectorXd values = symmetric_eigen(T).values;
    check_close(largest_root(a, b), values[n - 1], rounding);
    const auto [value, vector] = largest_ritz_pair(a, b);
    check_close(value, values[n - 1], rounding);
    check_close(vector.norm(), 1, 8 * epsilon);
    check((T * vector - value * vector).norm() <= rounding);
    const auto eigen = tridiagonal_eigen(a, b);
    check(eigen.converged && (eigen.values - values).norm() <= rounding);
  }
}

// diag(3, 0, 0, ...) with b beside it: on an endless chain lambda = 3 + b r for the ratio r of
// neighbours, b r = (lambda - sqrt(lambda^2 - 4 b^2)) / (2 b) b, so lambda = 3 + b^2 / 3 and r = b
// / 3. The components fall by that ratio over 200 powers of ten, and keep their digits: each is off
// by a rounding per step.
void check_small_components() {
  const Index n = 60;
  const double b = 3e-4;
  VectorXd a = VectorXd::Zero(n);
  a[0] = 3;
  const auto [value, vector] = largest_ritz_pair(a, VectorXd::Constant(n - 1, b));
  check_close(value, 3 + b * b / 3, 8 * epsilon);
  for (Index i = 0; i + 2 < n; ++i) {
    const double rounding = 8 * double(i + 1) * epsilon;
    check_close(vector[i] / std::pow((long double)(b) / 3, i), 1, b * b + rounding);
    check_close(vector[i + 1] / vector[i], b / 3, 16 * epsilon * b / 3);
  }
}

void check_dense() {
  Numbers numbers(18);
  for (const Index n : {1, 2, 9, 40}) {
    const VectorXd values = VectorXd::LinSpaced(n, -1, 3);
    const MatrixXd A = with_spectrum(values, orthogonal(n, numbers));
    MatrixXd lower = A.triangularView<Eigen::Lower>();
    const auto eigen = symmetric_eigen(lower);
    const double rounding = 16 * double(n) * epsilon * 3;
    check(eigen.converged);
    check((A * eigen.vectors - eigen.vectors * eigen.values.asDiagonal()).norm() <= rounding);
    check((eigen.vectors.transpose() * eigen.vectors - MatrixXd::Identity(n, n)).norm() <=
          rounding);
    for (Index i = 0; i < n; ++i) check_close(eigen.values[i], n == 1 ? 3 : values[i], rounding);
  }
}

// A power of two within a factor of two of the first product, and one where that is near one
void check_product_unit() {
  for (const int power : {-1000, -300, -65, -63, 0, 63, 65, 300, 1000}) {
    ProductUnit unit;
    VectorXd product(3);
    product << 0.25, -1.5, 0;
    product *= std::ldexp(1.0, power);
    const VectorXd given = product;
    unit.apply(product);
    int exponent = 0;
    check_equal(std::frexp(unit.value(), &exponent), 0.5);
    if (std::abs(power) < 64) check_equal(unit.value(), 1);
    if (std::abs(power) > 64) check(product.cwiseAbs().maxCoeff() == 1.5);
    for (Index i = 0; i < 3; ++i) check_equal(product[i] * unit.value(), given[i]);
    // The first product alone sets it.
    VectorXd second = VectorXd::Constant(3, std::ldexp(1.0, power / 2));
    const double before = unit.value();
    unit.apply(second);
    check_equal(unit.value(), before);
    check_equal(second[0], std::ldexp(1.0, power / 2) / before);
  }
  for (const double odd : {0.0, std::numeric_limits<double>::infinity()}) {
    ProductUnit unit;
    VectorXd product = VectorXd::Constant(2, odd);
    unit.apply(product);
    check_equal(unit.value(), 1);
    check_equal(product[0], odd);
  }
}

}  // namespace

int main() {
  check_lanczos();
  check_restarts();
  check_units();
  check_locked_and_projected();
  check_ends_of_lanczos();
  check_several();
  check_tridiagonal();
  check_small_components();
  check_dense();
  check_product_unit();
  return status();
}
