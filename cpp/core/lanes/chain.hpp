// The two passes over the weights from which everything follows:
//
//   pull:  u_L = p,        u_{k-1} = W_k^T u_k      (u_0 = w, the end-to-end map)
//   push:  v_0 = dR/dw,    v_k     = W_k v_{k-1}    (grad_k = u_k v_{k-1}^T)
//
// Both also at the stage of a Runge-Kutta step, without forming its weights: W_k + sum_s c_s u^s_k
// (v^s_{k-1})^T. u and v hold a vector of each width d_0 .. d_L, one after another
// (Layout::vectors).
#pragma once

#include "lanes/products.hpp"
#include "model/dyads.hpp"

namespace deeplinear {

static_assert(Layout::largest_square <= largest_narrow);

namespace detail {

// pull through the layers of a square segment; the vector stays in registers from layer to layer.
template <int D, class P>
inline void pull_square(const Layout& net, Layout::Segment segment, const P* W, P* u,
                        const Dyads<P>& dyads) {
  P x[D], y[D];
  const P* w = W + net.weights[segment.last];
  Layout::Index at = net.vectors[segment.last];
  for (int j = 0; j < D; ++j) x[j] = u[at + j];
  for (int k = segment.last; k >= segment.first; --k, w -= D * D) {
    for (int j = 0; j < D; ++j) y[j] = zero<P>();
    for (int i = 0; i < D; ++i) {
      for (int j = 0; j < D; ++j) y[j] = fma(w[i * D + j], x[i], y[j]);
    }
    for (int s = 0; s < dyads.count; ++s) {
      P c = zero<P>();
      for (int i = 0; i < D; ++i) c = fma(dyads.u[s].data[at + i], x[i], c);
      c = c * dyads.coefficient[s];
      for (int j = 0; j < D; ++j) y[j] = fma(c, dyads.v[s].data[at - D + j], y[j]);
    }
    at -= D;
    for (int j = 0; j < D; ++j) u[at + j] = x[j] = y[j];
  }
}

// push through the layers of a square segment.
template <int D, class P>
inline void push_square(const Layout& net, Layout::Segment segment, const P* W, P* v,
                        const Dyads<P>& dyads) {
  P x[D], y[D];
  const P* w = W + net.weights[segment.first];
  Layout::Index at = net.vectors[segment.first - 1];
  for (int j = 0; j < D; ++j) x[j] = v[at + j];
  for (int k = segment.first; k <= segment.last; ++k, w += D * D) {
    for (int i = 0; i < D; ++i) {
      y[i] = zero<P>();
      for (int j = 0; j < D; ++j) y[i] = fma(w[i * D + j], x[j], y[i]);
    }
    for (int s = 0; s < dyads.count; ++s) {
      P c = zero<P>();
      for (int j = 0; j < D; ++j) c = fma(dyads.v[s].data[at + j], x[j], c);
      c = c * dyads.coefficient[s];
      for (int i = 0; i < D; ++i) y[i] = fma(c, dyads.u[s].data[at + D + i], y[i]);
    }
    at += D;
    for (int i = 0; i < D; ++i) v[at + i] = x[i] = y[i];
  }
}

// push and a move of the weights by K_k = u_k v_{k-1}^T through the layers of a square segment.
template <int D, class P, class Move>
inline void move_square(const Layout& net, Layout::Segment segment, P* W, const P* u, P* v,
                        Move move) {
  P x[D], y[D];
  P* w = W + net.weights[segment.first];
  Layout::Index at = net.vectors[segment.first - 1];
  for (int j = 0; j < D; ++j) x[j] = v[at + j];
  for (int k = segment.first; k <= segment.last; ++k, w += D * D) {
    at += D;
    for (int i = 0; i < D; ++i) {
      const P factor = move.row(u[at + i]);
      y[i] = zero<P>();
      for (int j = 0; j < D; ++j) {
        y[i] = fma(w[i * D + j], x[j], y[i]);
        move(w[i * D + j], factor, x[j]);
      }
    }
    for (int i = 0; i < D; ++i) v[at + i] = x[i] = y[i];
  }
}

}  // namespace detail

// u_{k-1} = (W_k + sum_s c_s u^s_k (v^s_{k-1})^T)^T u_k for k = L .. 1; u_L is given.
template <class P>
inline void pull(const Layout& net, const P* W, P* u, const Dyads<P>& dyads = {}) {
  for (auto segment = net.segments.rbegin(); segment != net.segments.rend(); ++segment) {
    const int k = segment->last, rows = net.rows(k), cols = net.cols(k);
    if (segment->square) {
      with_constant(rows, [&](auto width) {
        detail::pull_square<decltype(width)::value>(net, *segment, W, u, dyads);
      });
      continue;
    }
    const P* from = u + net.vectors[k];
    P* to = u + net.vectors[k - 1];
    transposed_product(rows, cols, W + net.weights[k], from, to);
    for (int s = 0; s < dyads.count; ++s) {
      const P c = dot(rows, dyads.u[s].data + net.vectors[k], from) * dyads.coefficient[s];
      add_multiple(cols, c, dyads.v[s].data + net.vectors[k - 1], to);
    }
  }
}

// v_k = (W_k + sum_s c_s u^s_k (v^s_{k-1})^T) v_{k-1} for k = 1 .. L; v_0 is given.
template <class P>
inline void push(const Layout& net, const P* W, P* v, const Dyads<P>& dyads = {}) {
  for (const auto& segment : net.segments) {
    const int k = segment.first, rows = net.rows(k), cols = net.cols(k);
    if (segment.square) {
      with_constant(rows, [&](auto width) {
        detail::push_square<decltype(width)::value>(net, segment, W, v, dyads);
      });
      continue;
    }
    const P* from = v + net.vectors[k - 1];
    P* to = v + net.vectors[k];
    product(rows, cols, W + net.weights[k], from, to);
    for (int s = 0; s < dyads.count; ++s) {
      const P c = dot(cols, dyads.v[s].data + net.vectors[k - 1], from) * dyads.coefficient[s];
      add_multiple(rows, c, dyads.u[s].data + net.vectors[k], to);
    }
  }
}

// push, and a rule's move of the weights by K_k = u_k v_{k-1}^T as each layer is passed: two reads
// and one write of W with the pull before.
template <class P, class Move>
inline void push_and_move(const Layout& net, P* W, const P* u, P* v, Move move) {
  for (const auto& segment : net.segments) {
    const int k = segment.first;
    if (segment.square) {
      with_constant(net.rows(k), [&](auto width) {
        detail::move_square<decltype(width)::value>(net, segment, W, u, v, move);
      });
      continue;
    }
    const auto pass_layer = [&](auto product) {
      pass<decltype(product)::value>(net.rows(k), net.cols(k), W + net.weights[k],
                                     v + net.vectors[k - 1], v + net.vectors[k], false, move,
                                     u + net.vectors[k]);
    };
    // v_L enters no gradient.
    k < net.depth() ? pass_layer(std::true_type{}) : pass_layer(std::false_type{});
  }
}

// The rows of sum_s c_s u^s_k (v^s_{k-1})^T for S dyads
template <int S, class P>
class DyadRows {
 public:
  DyadRows(const Layout& net, const Dyads<P>& dyads) : net_(net), dyads_(dyads) {}

  void enter(int k) {
    for (int s = 0; s < S; ++s) {
      u_[s] = dyads_.u[s].data + net_.vectors[k];
      v_[s] = dyads_.v[s].data + net_.vectors[k - 1];
    }
  }
  void move_to(int i) {
    for (int s = 0; s < S; ++s) factor_[s] = dyads_.coefficient[s] * u_[s][i];
  }
  P operator[](int j) const {
    P sum = factor_[0] * v_[0][j];
    for (int s = 1; s < S; ++s) sum = fma(factor_[s], v_[s][j], sum);
    return sum;
  }

 private:
  const Layout& net_;
  const Dyads<P>& dyads_;
  const P *u_[S], *v_[S];
  P factor_[S];
};

}  // namespace deeplinear
