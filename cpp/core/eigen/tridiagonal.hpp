// The largest eigenpair of a symmetric tridiagonal matrix T, in O(n).
#pragma once

#include <cmath>
#include <limits>

#include <Eigen/Core>

namespace deeplinear {

struct RitzPair {
  double value;
  Eigen::VectorXd vector;  // unit
};

// T has the diagonal a (n,) and the off-diagonal b (n - 1,), b >= 0.
//
// The pivots of lambda I - T, q_1 = lambda - a_1, q_i = lambda - a_i - b_{i-1}^2 / q_{i-1}, are
// positive to the right of the largest eigenvalue, and the characteristic polynomial p is their
// product. Laguerre's iteration from the right, with G = p'/p and H = G^2 - p''/p summed along the
// pivots, falls monotonically to the largest root, cubically at the end.
inline double largest_root(const Eigen::Ref<const Eigen::VectorXd>& a,
                           const Eigen::Ref<const Eigen::VectorXd>& b) {
  const auto n = a.size();
  double upper = -std::numeric_limits<double>::infinity(), scale = 0;
  for (Eigen::Index i = 0; i < n; ++i) {
    const double radius = (i > 0 ? b[i - 1] : 0) + (i + 1 < n ? b[i] : 0);
    upper = std::max(upper, a[i] + radius);
    scale = std::max(scale, std::abs(a[i]) + radius);
  }
  constexpr double epsilon = std::numeric_limits<double>::epsilon();
  double lambda = upper + 2 * epsilon * scale;
  for (int iteration = 0; iteration < 100; ++iteration) {
    double G = 0, H = 0, q = 1, q1 = 0, q2 = 0;  // q and its two derivatives
    for (Eigen::Index i = 0; i < n; ++i) {
      const double square = i > 0 ? b[i - 1] * b[i - 1] : 0;
      const double r = 1 / q, first = q1 * r;
      const double q2_next = square * r * (q2 * r - 2 * first * first);
      q1 = 1 + square * r * first;
      q = lambda - a[i] - square * r;
      q2 = q2_next;
      if (!(q > 0)) return lambda;
      const double relative = q1 / q;
      G += relative;
      H += relative * relative - q2 / q;
    }
    const double size = double(n);
    const double root = std::sqrt(std::max(0.0, (size - 1) * (size * H - G * G)));
    const double step = size / (G + root);
    if (!(step > epsilon * scale)) return lambda;
    lambda -= step;
  }
  return lambda;
}

// The eigenvector by twisted factorization: pivots q from the top and r from the bottom, joined
// where their mismatch is least; s_{i-1} = s_i b_{i-1} / q_{i-1} above the joint, s_{i+1} = s_i b_i
// / r_{i+1} below. Small components keep their relative accuracy, which the residual estimate of
// Lanczos needs.
inline RitzPair largest_ritz_pair(const Eigen::Ref<const Eigen::VectorXd>& a,
                                  const Eigen::Ref<const Eigen::VectorXd>& b) {
  const auto n = a.size();
  RitzPair pair{largest_root(a, b), Eigen::VectorXd::Zero(n)};
  const double tiny = std::numeric_limits<double>::min();
  const auto guarded = [tiny](double pivot) { return std::abs(pivot) < tiny ? tiny : pivot; };
  Eigen::VectorXd q(n), r(n);
  for (Eigen::Index i = 0; i < n; ++i) {
    q[i] = pair.value - a[i] - (i > 0 ? b[i - 1] * b[i - 1] / q[i - 1] : 0);
    q[i] = guarded(q[i]);
  }
  for (Eigen::Index i = n - 1; i >= 0; --i) {
    r[i] = pair.value - a[i] - (i + 1 < n ? b[i] * b[i] / r[i + 1] : 0);
    r[i] = guarded(r[i]);
  }
  Eigen::Index joint = 0;
  double least = std::numeric_limits<double>::infinity();
  for (Eigen::Index i = 0; i < n; ++i) {
    const double mismatch = std::abs(q[i] + r[i] - (pair.value - a[i]));
    if (mismatch < least) {
      least = mismatch;
      joint = i;
    }
  }
  auto& s = pair.vector;
  s[joint] = 1;
  for (Eigen::Index i = joint; i > 0; --i) s[i - 1] = s[i] * b[i - 1] / q[i - 1];
  for (Eigen::Index i = joint; i + 1 < n; ++i) s[i + 1] = s[i] * b[i] / r[i + 1];
  s.normalize();
  return pair;
}

}  // namespace deeplinear
