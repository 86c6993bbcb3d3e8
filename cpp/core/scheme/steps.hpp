// A step in the space of the weights, the same for every kind of stages.
//
// The stages of a problem give the risk and the gradients K_s at the stages W - h sum_j a[s][j] K_j
// of a step from W, for the runs of a pack, each with its own step size h:
//
//   start(W)                the excess risk at W, from which descend and evaluate go on
//   descend(W, h)           W -= h K_0, after start
//   evaluate(W, s, h)       stage s in the order of s; returns the excess risk there
//   evaluate_at(W, s)       K_s = the gradient at W; returns the excess risk
//   take_over(s, mask)      K_0 = K_s in the lanes of the mask
//   advance(W, h, mask)     W -= h sum_s b_s K_s in the lanes of the mask
//   squared_error(W, e, h, rtol, atol)   of the error estimate E = h sum_s e_s K_s, see below
//
// Rows D of layer k and row i are D[j] after D.enter(k) and D.move_to(i).
#pragma once

#include "model/layout.hpp"
#include "scheme/tableau.hpp"
#include "simd/pack.hpp"

namespace deeplinear {

// W += D in the lanes of the mask
template <class P, class Rows>
inline void add_rows(const Layout& net, P* W, Rows&& D, const Mask<P>& mask) {
  for (int k = 1; k <= net.depth(); ++k) {
    D.enter(k);
    for (int i = 0; i < net.rows(k); ++i) {
      D.move_to(i);
      for (int j = 0; j < net.cols(k); ++j, ++W) *W = select(mask, *W + D[j], *W);
    }
  }
}

// The square of the error estimate E_k of a step against the tolerance: the mean over the layers of
// |E_k|^2 / (atol^2 d_k d_{k-1} + rtol^2 |W_k|^2) in the Frobenius norm, which no rotation of the
// hidden layers changes. E_k is summed entry by entry, not through Gram matrices: those would lose
// it to cancellation below 1e-8.
template <class P, class Rows>
inline P squared_error(const Layout& net, const P* W, Rows&& E, P rtol, P atol) {
  using Scalar = typename P::Scalar;
  P mean = zero<P>();
  for (int k = 1; k <= net.depth(); ++k) {
    const int rows = net.rows(k), cols = net.cols(k);
    P error = zero<P>(), norm = zero<P>();
    E.enter(k);
    for (int i = 0; i < rows; ++i) {
      E.move_to(i);
      for (int j = 0; j < cols; ++j, ++W) {
        const P e = E[j];
        error = fma(e, e, error);
        norm = fma(*W, *W, norm);
      }
    }
    const P size(Scalar(double(rows) * cols));
    mean = mean + error / fma(rtol * rtol, norm, atol * atol * size);
  }
  return mean / P(Scalar(net.depth()));
}

}  // namespace deeplinear
