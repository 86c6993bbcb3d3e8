// The least-squares risk as a function of the end-to-end map w (d,), about its minimizer w*:
//
//   delta = w - w*,   R(w) = R(w*) + delta^T C delta,   dR/dw = 2 C delta.
//
// In delta, not in C w - b, so that risk and gradient keep their relative accuracy close to the
// minimizer.
#pragma once

#include <algorithm>
#include <vector>

#include "memory.hpp"
#include "products.hpp"

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
    return P(Scalar(0.5)) * dot(dimension_, delta_.data(), v0);
  }

  // y = 2 C x, x and y (d,); eight independent sums at a time hide the latency of the additions.
  void multiply_covariance(const P* x, P* y) const {
    const int d = dimension_;
    for (int first = 0; first < d; first += largest_narrow) {
      with_constant(std::min(d - first, largest_narrow), [&](auto rows) {
        constexpr int R = decltype(rows)::value;
        const Scalar* entry = twice_covariance_.data() + std::ptrdiff_t(first) * d;
        P sum[R];
        for (int r = 0; r < R; ++r) sum[r] = zero<P>();
        for (int j = 0; j < d; ++j, ++entry) {
          for (int r = 0; r < R; ++r) sum[r] = fma(P(entry[r * d]), x[j], sum[r]);
        }
        for (int r = 0; r < R; ++r) y[first + r] = sum[r];
      });
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
