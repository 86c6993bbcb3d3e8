// A step in the space of the weights, the same for every kind of stages.
//
// Rows D of layer k and row i are D[j] after D.enter(k) and D.move_to(i).
#pragma once

#include "model/layout.hpp"
#include "scheme/stages.hpp"
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
