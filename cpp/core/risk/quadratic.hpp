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

#include "simd/unroll.hpp"

namespace deeplinear {

// F (r, d), F^T (d, r) and c (r,), row by row
template <class Scalar>
struct ModesView {
  int rank = 0;
  const Scalar *factor = nullptr, *transposed = nullptr, *target = nullptr;
};

// The numbers of a risk, in arrays that others own
template <class Scalar>
struct QuadraticView {
  int dimension = 0;
  bool by_modes = false;
  const Scalar* minimizer = nullptr;  // w* (d,)
  // About the minimizer: 2 C and C_t (d, d), g_t (d,)
  const Scalar *twice_covariance = nullptr, *test_covariance = nullptr,
               *test_half_gradient = nullptr;
  // By modes
  ModesView<Scalar> modes, test_modes;

  // How many numbers of a run it computes with: delta, the errors, and w
  constexpr Index numbers() const {
    return Index(dimension) + modes.rank + test_modes.rank + (test_modes.rank > 0 ? dimension : 0);
  }
};

// The risk of the runs of a pack, in its precision; the numbers of the runs lie at `memory`.
template <class P, class Numbers>
class QuadraticRisk {
 public:
  using Scalar = typename P::Scalar;
  using View = QuadraticView<Scalar>;

  constexpr QuadraticRisk(const View& risk, Numbers memory)
      : risk_(risk),
        delta_(memory),
        error_(memory + risk.dimension),
        test_error_(error_ + risk.modes.rank),
        map_(test_error_ + risk.test_modes.rank) {}

  // v_0 = dR/dw (d,); returns the excess risk R(w) - R(w*).
  template <class W, class Out>
  constexpr P gradient(W w, Out v0) {
    // What is written could change these, for all that the compiler knows.
    const int d = risk_.dimension;
    const Scalar *const minimizer = risk_.minimizer, *const covariance = risk_.twice_covariance;
    const Numbers delta = delta_;
    for (int j = 0; j < d; ++j) delta[j] = w[j] - P(minimizer[j]);
    if (risk_.by_modes) return gradient_by_modes(risk_, error_, map_, w, v0);
    product(d, d, covariance, delta, v0);
    return P(Scalar(0.5)) * dot<P>(d, delta, v0);
  }

  // y = R'' x = 2 C x, x and y (d,)
  template <class X, class Y>
  constexpr void curvature(X x, Y y) {
    const int d = risk_.dimension;
    if (risk_.by_modes) return multiply_modes(risk_, error_, x, y);
    product(d, d, risk_.twice_covariance, x, y);
  }

  // |w - w*|^2 at the last call of gradient
  constexpr P squared_distance() const { return dot<P>(risk_.dimension, delta_, delta_); }

  // The test risk at the last call of gradient, less what is the same for every w
  constexpr P test_excess() {
    const int d = risk_.dimension;
    if (risk_.by_modes) return squared_error(d, risk_.test_modes, map_, test_error_);
    P sum = zero<P>();
    for (int i = 0; i < d; ++i) {
      const Scalar* row = risk_.test_covariance + Index(i) * d;
      P product = P(Scalar(2) * risk_.test_half_gradient[i]);
      for (int j = 0; j < d; ++j) product = fma(P(row[j]), delta_[j], product);
      sum = fma(delta_[i], product, sum);
    }
    return sum;
  }

 private:
  // Apart from the form about the minimizer, whose few products stay inlined in a step; without an
  // object, whose places a compiler then need not keep in memory.
  template <class W, class Out>
  [[gnu::noinline]] static constexpr P gradient_by_modes(const View& risk, Numbers error,
                                                         Numbers map, W w, Out v0) {
    if (risk.test_modes.rank > 0) {
      for (int j = 0; j < risk.dimension; ++j) map[j] = w[j];
    }
    const P excess = squared_error(risk.dimension, risk.modes, w, error);
    pull_error(risk, error, v0);
    return excess;
  }
  template <class X, class Y>
  [[gnu::noinline]] static constexpr void multiply_modes(const View& risk, Numbers error, X x,
                                                         Y y) {
    product(risk.modes.rank, risk.dimension, risk.modes.factor, x, error);
    pull_error(risk, error, y);
  }

  // e = F w - c; returns |e|^2.
  template <class W>
  static constexpr P squared_error(int d, const ModesView<Scalar>& modes, W w, Numbers e) {
    product(modes.rank, d, modes.factor, w, e);
    for (int i = 0; i < modes.rank; ++i) e[i] = e[i] - P(modes.target[i]);
    return dot<P>(modes.rank, e, e);
  }

  // y = 2 F^T e (d,)
  template <class Y>
  static constexpr void pull_error(const View& risk, Numbers error, Y y) {
    for (int i = 0; i < risk.modes.rank; ++i) {
      const P e = error[i];
      error[i] = e + e;
    }
    product(risk.dimension, risk.modes.rank, risk.modes.transposed, error, y);
  }

  // y = M x with M (rows, cols), x (cols,), y (rows,); eight independent sums at a time hide the
  // latency of the additions.
  template <class X, class Y>
  static constexpr void product(int rows, int cols, const Scalar* M, X x, Y y) {
    for (int first = 0; first < rows; first += largest_narrow) {
      const int rest = rows - first;
      with_constant(rest < largest_narrow ? rest : largest_narrow, [&](auto block) {
        constexpr int R = decltype(block)::value;
        const Scalar* entry = M + Index(first) * cols;
        P sum[R];
#pragma GCC unroll 8
        for (int r = 0; r < R; ++r) sum[r] = zero<P>();
        for (int j = 0; j < cols; ++j, ++entry) {
          const P xj = x[j];
#pragma GCC unroll 8
          for (int r = 0; r < R; ++r) sum[r] = fma(P(entry[r * cols]), xj, sum[r]);
        }
#pragma GCC unroll 8
        for (int r = 0; r < R; ++r) y[first + r] = sum[r];
      });
    }
  }

  const View& risk_;
  Numbers delta_;               // w - w*
  Numbers error_, test_error_;  // F w - c
  Numbers map_;                 // w, where there are test data
};

}  // namespace deeplinear
