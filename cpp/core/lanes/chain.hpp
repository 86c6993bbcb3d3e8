// The two passes over the weights from which everything follows:
//
//   pull:  u_L = p,        u_{k-1} = W_k^T u_k      (u_0 = w, the end-to-end map)
//   push:  v_0 = dR/dw,    v_k     = W_k v_{k-1}    (grad_k = u_k v_{k-1}^T)
//
// Both also at the stage of a Runge-Kutta step, without forming its weights: W_k + sum_s c_s u^s_k
// (v^s_{k-1})^T. u and v hold a vector of each width d_0 .. d_L, one after another
// (Shape::vectors). W, u and v are places of numbers (simd/unroll.hpp).
#pragma once

#include "lanes/products.hpp"
#include "model/shape.hpp"
#include "scheme/tableau.hpp"

namespace deeplinear {

static_assert(Shape::largest_square <= largest_narrow);

// sum_s c_s u^s (v^s)^T of the vectors of some stages
template <class P, class Numbers>
struct StageDyads {
  static constexpr int capacity = largest_narrow;  // as with_constant counts them
  static_assert(Tableau::capacity <= capacity);
  int count = 0;
  P coefficient[capacity];
  Numbers u[capacity];
  Numbers v[capacity];

  // Leaves what lies beyond count alone: a pull without dyads need not clear it.
  constexpr StageDyads() {}

  constexpr void add(P c, Numbers u_, Numbers v_) {
    coefficient[count] = c;
    u[count] = u_;
    v[count++] = v_;
  }
};

// Loops over the D entries of a vector are unrolled before the compiler looks at its arrays: so
// they are registers.
namespace detail {

// pull through the layers of a square segment; the vector stays in registers from layer to layer.
template <int D, class P, class Numbers>
constexpr void pull_square(const Shape& net, Segment segment, Numbers W, Numbers u,
                           const StageDyads<P, Numbers>& dyads) {
  P x[D], y[D];
  Index w = net.weights[segment.last], at = net.vectors[segment.last];
#pragma GCC unroll 8
  for (int j = 0; j < D; ++j) x[j] = u[at + j];
  for (int k = segment.last; k >= segment.first; --k, w -= D * D) {
#pragma GCC unroll 8
    for (int j = 0; j < D; ++j) y[j] = zero<P>();
#pragma GCC unroll 8
    for (int i = 0; i < D; ++i) {
#pragma GCC unroll 8
      for (int j = 0; j < D; ++j) y[j] = fma(W[w + i * D + j], x[i], y[j]);
    }
    for (int s = 0; s < dyads.count; ++s) {
      P c = zero<P>();
#pragma GCC unroll 8
      for (int i = 0; i < D; ++i) c = fma(dyads.u[s][at + i], x[i], c);
      c = c * dyads.coefficient[s];
#pragma GCC unroll 8
      for (int j = 0; j < D; ++j) y[j] = fma(c, dyads.v[s][at - D + j], y[j]);
    }
    at -= D;
#pragma GCC unroll 8
    for (int j = 0; j < D; ++j) u[at + j] = x[j] = y[j];
  }
}

// push through the layers of a square segment.
template <int D, class P, class Numbers>
constexpr void push_square(const Shape& net, Segment segment, Numbers W, Numbers v,
                           const StageDyads<P, Numbers>& dyads) {
  P x[D], y[D];
  Index w = net.weights[segment.first], at = net.vectors[segment.first - 1];
#pragma GCC unroll 8
  for (int j = 0; j < D; ++j) x[j] = v[at + j];
  for (int k = segment.first; k <= segment.last; ++k, w += D * D) {
#pragma GCC unroll 8
    for (int i = 0; i < D; ++i) {
      y[i] = zero<P>();
#pragma GCC unroll 8
      for (int j = 0; j < D; ++j) y[i] = fma(W[w + i * D + j], x[j], y[i]);
    }
    for (int s = 0; s < dyads.count; ++s) {
      P c = zero<P>();
#pragma GCC unroll 8
      for (int j = 0; j < D; ++j) c = fma(dyads.v[s][at + j], x[j], c);
      c = c * dyads.coefficient[s];
#pragma GCC unroll 8
      for (int i = 0; i < D; ++i) y[i] = fma(c, dyads.u[s][at + D + i], y[i]);
    }
    at += D;
#pragma GCC unroll 8
    for (int i = 0; i < D; ++i) v[at + i] = x[i] = y[i];
  }
}

// push and a move of the weights by K_k = u_k v_{k-1}^T through the layers of a square segment.
template <int D, class P, class Numbers, class Move>
constexpr void move_square(const Shape& net, Segment segment, Numbers W, Numbers u, Numbers v,
                           Move move) {
  P x[D], y[D];
  Index w = net.weights[segment.first], at = net.vectors[segment.first - 1];
#pragma GCC unroll 8
  for (int j = 0; j < D; ++j) x[j] = v[at + j];
  for (int k = segment.first; k <= segment.last; ++k, w += D * D) {
    at += D;
#pragma GCC unroll 8
    for (int i = 0; i < D; ++i) {
      const auto factor = move.row(P(u[at + i]));
      y[i] = zero<P>();
#pragma GCC unroll 8
      for (int j = 0; j < D; ++j) {
        const Index n = w + i * D + j;
        const P old = W[n];
        y[i] = fma(old, x[j], y[i]);
        W[n] = move(n, old, factor, x[j]);
      }
    }
#pragma GCC unroll 8
    for (int i = 0; i < D; ++i) v[at + i] = x[i] = y[i];
  }
}

}  // namespace detail

// u_{k-1} = (W_k + sum_s c_s u^s_k (v^s_{k-1})^T)^T u_k for k = L .. 1; u_L is given.
template <class P, class Numbers>
constexpr void pull(const Shape& net, Numbers W, Numbers u, const StageDyads<P, Numbers>& dyads) {
  for (int place = net.segment_count - 1; place >= 0; --place) {
    const Segment segment = net.segments[place];
    const int k = segment.last, rows = net.rows(k), cols = net.cols(k);
    if (segment.square) {
      with_constant(rows, [&](auto width) {
        detail::pull_square<decltype(width)::value>(net, segment, W, u, dyads);
      });
      continue;
    }
    const Numbers from = u + net.vectors[k], to = u + net.vectors[k - 1];
    transposed_product<P>(rows, cols, W + net.weights[k], from, to);
    for (int s = 0; s < dyads.count; ++s) {
      const P c = dot<P>(rows, dyads.u[s] + net.vectors[k], from) * dyads.coefficient[s];
      add_multiple(cols, c, dyads.v[s] + net.vectors[k - 1], to);
    }
  }
}

// v_k = (W_k + sum_s c_s u^s_k (v^s_{k-1})^T) v_{k-1} for k = 1 .. L; v_0 is given.
template <class P, class Numbers>
constexpr void push(const Shape& net, Numbers W, Numbers v, const StageDyads<P, Numbers>& dyads) {
  for (int place = 0; place < net.segment_count; ++place) {
    const Segment segment = net.segments[place];
    const int k = segment.first, rows = net.rows(k), cols = net.cols(k);
    if (segment.square) {
      with_constant(rows, [&](auto width) {
        detail::push_square<decltype(width)::value>(net, segment, W, v, dyads);
      });
      continue;
    }
    const Numbers from = v + net.vectors[k - 1], to = v + net.vectors[k];
    product<P>(rows, cols, W + net.weights[k], from, to);
    for (int s = 0; s < dyads.count; ++s) {
      const P c = dot<P>(cols, dyads.v[s] + net.vectors[k - 1], from) * dyads.coefficient[s];
      add_multiple(rows, c, dyads.u[s] + net.vectors[k], to);
    }
  }
}

// push, and a rule's move of the weights by K_k = u_k v_{k-1}^T as each layer is passed: two reads
// and one write of W with the pull before.
template <class P, class Numbers, class Move>
constexpr void push_and_move(const Shape& net, Numbers W, Numbers u, Numbers v, Move move) {
  for (int place = 0; place < net.segment_count; ++place) {
    const Segment segment = net.segments[place];
    const int k = segment.first;
    if (segment.square) {
      with_constant(net.rows(k), [&](auto width) {
        detail::move_square<decltype(width)::value, P>(net, segment, W, u, v, move);
      });
      continue;
    }
    const auto pass_layer = [&](auto with_product) {
      pass<decltype(with_product)::value != 0, P>(net.rows(k), net.cols(k), W + net.weights[k],
                                                  net.weights[k], v + net.vectors[k - 1],
                                                  v + net.vectors[k], move, u + net.vectors[k]);
    };
    // v_L enters no gradient.
    k < net.depth() ? pass_layer(Constant<1>{}) : pass_layer(Constant<0>{});
  }
}

// The rows of sum_s c_s u^s_k (v^s_{k-1})^T for S dyads; 0: for as many as there are
template <int S, class P, class Numbers>
class DyadRows {
 public:
  constexpr DyadRows(const Shape& net, const StageDyads<P, Numbers>& dyads)
      : net_(net), dyads_(dyads) {}

  constexpr void enter(int k) {
    for (int s = 0; s < count(); ++s) {
      u_[s] = dyads_.u[s] + net_.vectors[k];
      v_[s] = dyads_.v[s] + net_.vectors[k - 1];
    }
  }
  constexpr void move_to(int i) {
    for (int s = 0; s < count(); ++s) factor_[s] = dyads_.coefficient[s] * u_[s][i];
  }
  constexpr P operator[](int j) const {
    P sum = factor_[0] * v_[0][j];
    for (int s = 1; s < count(); ++s) sum = fma(factor_[s], v_[s][j], sum);
    return sum;
  }

 private:
  static constexpr int most = S > 0 ? S : StageDyads<P, Numbers>::capacity;
  constexpr int count() const { return S > 0 ? S : dyads_.count; }

  const Shape& net_;
  const StageDyads<P, Numbers>& dyads_;
  Numbers u_[most], v_[most];
  P factor_[most];
};

}  // namespace deeplinear
