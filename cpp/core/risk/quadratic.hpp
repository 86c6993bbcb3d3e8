// The least-squares risk as a function of the end-to-end map w (d,), in one of two forms:
//
//   about its minimizer w*:   delta = w - w*,  R(w) = R(w*) + delta^T C delta,  dR/dw = 2 C delta,
//   by the modes of the data: e = F w - c,     R(w) = R(w*) + |e|^2,            dR/dw = 2 F^T e,
//
// where F (r, d) and c (r,) are diag(s) V^T / sqrt(n) and U^T y / sqrt(n) of X = U diag(s) V^T.
// Both keep their relative accuracy close to the minimizer, which C w - b would lose. The excess of
// the first is off by some d eps |C| |delta|^2: nothing is left of it where columns are collinear,
// |w*| is huge and delta lies along what the data hardly see. The second takes 2 r d products for
// d^2, and knows nothing of |w*|.
#pragma once

#include <algorithm>
#include <type_traits>
#include <vector>

#include "model/problem.hpp"
#include "risk/map_risk.hpp"
#include "simd/aligned_array.hpp"
#include "simd/unroll.hpp"

namespace deeplinear {

// The risk in the precision of a pack, as long as the numbers that it is made from.
template <class P>
class RiskEvaluator {
 public:
  using Scalar = typename P::Scalar;

  explicit RiskEvaluator(const Risk& risk)
      : dimension_(risk.dimension),
        by_modes_(risk.by_modes<Scalar>()),
        minimizer_(risk.minimizer.begin(), risk.minimizer.end()),
        delta_(risk.minimizer.size()) {
    test_offset_ = by_modes_ ? risk.test.rest : risk.test.at_minimizer;
    if (!by_modes_) {
      twice_covariance_.resize(risk.covariance.size());
      std::transform(risk.covariance.begin(), risk.covariance.end(), twice_covariance_.begin(),
                     [](double c) { return Scalar(2 * c); });
      test_covariance_.assign(risk.test.covariance.begin(), risk.test.covariance.end());
      test_half_gradient_.assign(risk.test.half_gradient.begin(), risk.test.half_gradient.end());
      return;
    }
    modes_ = ModesOf(risk.modes);
    test_modes_ = ModesOf(risk.test.modes);
    map_.resize(test_modes_.rank() > 0 ? delta_.size() : 0);
  }

  // v_0 = dR/dw (d,); returns the excess risk R(w) - R(w*).
  P gradient(const P* w, P* v0) {
    for (int j = 0; j < dimension_; ++j) delta_[j] = w[j] - P(minimizer_[j]);
    if (by_modes_) return gradient_by_modes(w, v0);
    product(dimension_, dimension_, twice_covariance_.data(), delta_.data(), v0);
    return P(Scalar(0.5)) * dot(dimension_, delta_.data(), v0);
  }

  // y = R'' x = 2 C x, x and y (d,)
  void curvature(const P* x, P* y) {
    if (by_modes_) return multiply_modes(x, y);
    product(dimension_, dimension_, twice_covariance_.data(), x, y);
  }

  // |w - w*|^2 at the last call of gradient
  P squared_distance() const {
    P sum = zero<P>();
    for (const P& x : delta_) sum = fma(x, x, sum);
    return sum;
  }

  // The test risk at the last call of gradient is the sum of these.
  double test_offset() const { return test_offset_; }
  P test_excess() {
    if (by_modes_) return test_modes_.squared_error(dimension_, map_.data());
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
  // Apart from the form about the minimizer, whose few products stay inlined in a step.
  [[gnu::noinline]] P gradient_by_modes(const P* w, P* v0) {
    std::copy_n(w, map_.size(), map_.data());
    const P excess = modes_.squared_error(dimension_, w);
    modes_.pull_error(dimension_, v0);
    return excess;
  }
  [[gnu::noinline]] void multiply_modes(const P* x, P* y) {
    product(modes_.rank(), dimension_, modes_.factor.data(), x, modes_.error.data());
    modes_.pull_error(dimension_, y);
  }

  // y = M x with M (rows, cols), x (cols,), y (rows,); eight independent sums at a time hide the
  // latency of the additions.
  static void product(int rows, int cols, const Scalar* M, const P* x, P* y) {
    for (int first = 0; first < rows; first += largest_narrow) {
      with_constant(std::min(rows - first, largest_narrow), [&](auto block) {
        constexpr int R = decltype(block)::value;
        const Scalar* entry = M + std::ptrdiff_t(first) * cols;
        P sum[R];
        for (int r = 0; r < R; ++r) sum[r] = zero<P>();
        for (int j = 0; j < cols; ++j, ++entry) {
          for (int r = 0; r < R; ++r) sum[r] = fma(P(entry[r * cols]), x[j], sum[r]);
        }
        for (int r = 0; r < R; ++r) y[first + r] = sum[r];
      });
    }
  }

  // Numbers in the precision of the pack: those that are there, or a copy.
  class Numbers {
   public:
    Numbers() = default;
    explicit Numbers(const std::vector<double>& values) {
      if constexpr (std::is_same_v<Scalar, double>) {
        given_ = values.data();
      } else {
        copy_.assign(values.begin(), values.end());
      }
    }
    const Scalar* data() const { return given_ ? given_ : copy_.data(); }

   private:
    const Scalar* given_ = nullptr;
    std::vector<Scalar> copy_;
  };

  struct ModesOf {
    Numbers factor, transposed;
    std::vector<Scalar> target;
    AlignedVector<P> error;  // e = F w - c

    ModesOf() = default;
    explicit ModesOf(const Modes& modes)
        : factor(modes.factor),
          transposed(modes.transposed),
          target(modes.target.begin(), modes.target.end()),
          error(modes.target.size()) {}

    int rank() const { return int(target.size()); }

    // |F w - c|^2
    P squared_error(int d, const P* w) {
      product(rank(), d, factor.data(), w, error.data());
      for (int i = 0; i < rank(); ++i) error[i] = error[i] - P(target[i]);
      return dot(rank(), error.data(), error.data());
    }

    // y = 2 F^T e (d,)
    void pull_error(int d, P* y) {
      for (P& e : error) e = e + e;
      product(d, rank(), transposed.data(), error.data(), y);
    }
  };

  int dimension_;
  bool by_modes_;
  double test_offset_ = 0;
  std::vector<Scalar> minimizer_;
  AlignedVector<P> delta_;  // w - w*
  // About the minimizer
  std::vector<Scalar> twice_covariance_, test_covariance_, test_half_gradient_;
  // By modes
  ModesOf modes_, test_modes_;
  AlignedVector<P> map_;  // w, where there are test data
};

static_assert(MapRisk<RiskEvaluator<Pack<double, 1>>, Pack<double, 1>>);

}  // namespace deeplinear
