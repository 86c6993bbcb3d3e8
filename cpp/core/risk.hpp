// The least-squares risk as a function of the end-to-end map w (d,), about its minimizer w*:
//
//   delta = w - w*,   R(w) = R(w*) + delta^T C delta,   dR/dw = 2 C delta.
//
// In delta, not in C w - b, so that risk and gradient keep their relative accuracy close to the
// minimizer.
#pragma once

#include <algorithm>
#include <vector>

#include "pack.hpp"

namespace deeplinear {

// The test risk about the same w*: R_t(w) = R_t(w*) + delta^T C_t delta + 2 delta^T g_t, g_t = C_t
// w* - b_t.
struct TestRisk {
  std::vector<double> covariance;     // C_t (d, d)
  std::vector<double> half_gradient;  // g_t (d,)
  double at_minimizer = 0;
};

struct Risk {
  int dimension = 0;
  std::vector<double> covariance;  // C (d, d)
  std::vector<double> minimizer;   // w* (d,)
  double minimum = 0;              // R(w*)
  TestRisk test;                   // empty without test data
};

// The risk in the precision of a pack; delta is its workspace.
template <class P>
class RiskEvaluator {
 public:
  using Scalar = typename P::Scalar;

  explicit RiskEvaluator(const Risk& risk)
      : dimension_(risk.dimension),
        twice_covariance_(risk.covariance.size()),
        minimizer_(risk.minimizer.begin(), risk.minimizer.end()),
        test_covariance_(risk.test.covariance.begin(), risk.test.covariance.end()),
        test_half_gradient_(risk.test.half_gradient.begin(), risk.test.half_gradient.end()),
        delta_(risk.minimizer.size()) {
    std::transform(risk.covariance.begin(), risk.covariance.end(), twice_covariance_.begin(),
                   [](double c) { return Scalar(2 * c); });
  }

  // v_0 = dR/dw = 2 C (w - w*) (d,); returns the excess risk R(w) - R(w*).
  P gradient(const P* w, P* v0) {
    for (int j = 0; j < dimension_; ++j) delta_[j] = w[j] - P(minimizer_[j]);
    multiply_covariance(delta_.data(), v0);
    P twice_excess = zero<P>();
    for (int j = 0; j < dimension_; ++j) twice_excess = fma(delta_[j], v0[j], twice_excess);
    return P(Scalar(0.5)) * twice_excess;
  }

  // y = 2 C x, x and y (d,)
  void multiply_covariance(const P* x, P* y) const {
    for (int i = 0; i < dimension_; ++i) {
      const Scalar* row = twice_covariance_.data() + std::size_t(i) * dimension_;
      P sum = zero<P>();
      for (int j = 0; j < dimension_; ++j) sum = fma(P(row[j]), x[j], sum);
      y[i] = sum;
    }
  }

  // |w - w*|^2 at the last call of gradient
  P squared_distance() const {
    P sum = zero<P>();
    for (const P& x : delta_) sum = fma(x, x, sum);
    return sum;
  }

  // R_t(w) - R_t(w*) at the last call of gradient
  P test_excess() const {
    P sum = zero<P>();
    for (int i = 0; i < dimension_; ++i) {
      const Scalar* row = test_covariance_.data() + std::size_t(i) * dimension_;
      P product = P(Scalar(2) * test_half_gradient_[i]);
      for (int j = 0; j < dimension_; ++j) product = fma(P(row[j]), delta_[j], product);
      sum = fma(delta_[i], product, sum);
    }
    return sum;
  }

 private:
  int dimension_;
  std::vector<Scalar> twice_covariance_;
  std::vector<Scalar> minimizer_;
  std::vector<Scalar> test_covariance_;
  std::vector<Scalar> test_half_gradient_;
  AlignedVector<P> delta_;
};

}  // namespace deeplinear
