// Lanczos with full reorthogonalization:  H Q = Q T + beta q e^T,  Q^T Q = I,  T tridiagonal.
//
// An operator has size(), dimension() of the subspace it acts on, project(x) onto that subspace and
// apply(x, y).
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <functional>
#include <limits>

#include <Eigen/Core>

#include "tridiagonal.hpp"

namespace deeplinear {

struct Eigenpair {
  double value = 0;
  double residual = 0;  // |H x - value x|, |x| = 1, from a product of its own
  std::int64_t products = 0;
  bool converged = false;  // residual <= tolerance |value|, or at the level of rounding of |H|
  Eigen::VectorXd vector;  // x (size,)
};

struct LanczosOptions {
  bool largest = true;
  double tolerance = 1e-8;
  std::int64_t max_products = 10000;
  Eigen::Index max_basis = 256;                 // then it restarts from its best vector
  const Eigen::VectorXd* start = nullptr;       // (size,)
  std::function<bool()> interrupted = nullptr;  // looked at before every product
};

// Numbers in [-1, 1) that depend on their place alone (SplitMix64).
inline void fill_pseudorandom(Eigen::Ref<Eigen::VectorXd> x) {
  for (Eigen::Index i = 0; i < x.size(); ++i) {
    std::uint64_t z = (std::uint64_t(i) + 1) * 0x9E3779B97F4A7C15u;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    x[i] = double((z ^ (z >> 31)) >> 11) * 0x1p-52 - 1;
  }
}

template <class Operator>
Eigenpair extreme_eigenpair(Operator& H, const LanczosOptions& options) {
  using Vector = Eigen::VectorXd;
  constexpr double epsilon = std::numeric_limits<double>::epsilon();
  const double sign = options.largest ? 1 : -1;
  const auto dimension = H.dimension();
  Eigenpair best;
  Vector w(H.size()), x(H.size());
  fill_pseudorandom(x);
  H.project(x);
  x.normalize();
  if (options.start) {
    // A share of the pseudorandom vector keeps every eigenvector within reach of an unlucky start.
    Vector given = *options.start;
    H.project(given);
    if (const double norm = given.stableNorm(); norm > 0) x = given / norm + 1e-3 * x;
    x.normalize();
  }

  double norm_H = 0;
  const auto interrupted = [&] { return options.interrupted && options.interrupted(); };
  // w = sign H x
  const auto multiply = [&](const Eigen::Ref<const Vector>& q) {
    H.apply(q, w);
    w *= sign;
    ++best.products;
  };
  // Fills best from the unit vector x; true where it is good enough.
  const auto accept = [&] {
    multiply(x);
    const double value = x.dot(w);
    best.residual = (w - value * x).norm();
    best.value = sign * value;
    best.vector = x;
    best.converged =
        best.residual <= std::max(options.tolerance * std::abs(value), 16 * epsilon * norm_H);
    return best.converged;
  };

  const auto capacity = std::min<Eigen::Index>(options.max_basis, dimension);
  Eigen::MatrixXd Q(H.size(), std::min<Eigen::Index>(capacity, 32));
  Vector a(capacity), b(capacity), coefficients;
  while (best.products < options.max_products) {  // restarts
    Q.col(0) = x;
    for (Eigen::Index j = 0; j < capacity; ++j) {
      if (interrupted() || best.products >= options.max_products) break;
      multiply(Q.col(j));
      a[j] = Q.col(j).dot(w);
      const auto basis = Q.leftCols(j + 1);
      // w -= Q Q^T w, again where it lost half of its norm: twice is enough (Kahan and Parlett).
      for (double before = w.norm(), after = 0;; before = after) {
        coefficients.noalias() = basis.transpose() * w;
        w.noalias() -= basis * coefficients;
        after = w.norm();
        if (!(after <= 0.5 * before) || after <= 4 * epsilon * norm_H) break;
      }
      // What rounding left outside the subspace would grow to a direction of its own as w shrinks.
      H.project(w);
      b[j] = w.norm();
      norm_H = std::max(norm_H, std::abs(a[j]) + b[j] + (j > 0 ? b[j - 1] : 0));

      // The Krylov space is invariant: it holds every eigenvalue, the start having a part in every
      // eigenspace.
      const bool exhausted = b[j] <= 16 * epsilon * norm_H || j + 1 == dimension;
      if (exhausted || j + 1 == capacity || j % 3 == 2) {
        const RitzPair ritz = largest_ritz_pair(a.head(j + 1), b.head(j));
        const double estimate = b[j] * std::abs(ritz.vector[j]);
        const double goal =
            std::max(options.tolerance * std::abs(ritz.value), 8 * epsilon * norm_H);
        if (exhausted || j + 1 == capacity || estimate <= 0.5 * goal) {
          const Vector next = w;
          x.noalias() = Q.leftCols(j + 1) * ritz.vector;
          x.normalize();
          if (accept() || exhausted) return best;
          w = next;
        }
      }
      if (j + 1 < capacity) {
        if (j + 1 == Q.cols())
          Q.conservativeResize(Eigen::NoChange, std::min(capacity, 2 * Q.cols()));
        Q.col(j + 1) = w / b[j];
      }
    }
    if (interrupted()) break;
  }
  if (best.vector.size() == 0) accept();
  return best;
}

}  // namespace deeplinear
