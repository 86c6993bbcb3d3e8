// A step in the space of the weights, the same for every kind of stages.
//
// Rows D of layer k and row i are D[j] after D.enter(k) and D.move_to(i).
#pragma once

#include "model/shape.hpp"
#include "simd/lane.hpp"

namespace deeplinear {

// W += D in the lanes of the mask
template <class P, class Numbers, class Rows>
constexpr void add_rows(const Shape& net, Numbers W, Rows&& D, const Mask<P>& mask) {
  Index n = 0;
  for (int k = 1; k <= net.depth(); ++k) {
    D.enter(k);
    for (int i = 0; i < net.rows(k); ++i) {
      D.move_to(i);
      for (int j = 0; j < net.cols(k); ++j, ++n) {
        const P w = W[n];
        W[n] = select(mask, w + D[j], w);
      }
    }
  }
}

// The square of the error estimate E_k of a step against the tolerance: the mean over the layers of
// |E_k|^2 / (atol^2 d_k d_{k-1} + rtol^2 |W_k|^2) in the Frobenius norm, which no rotation of the
// hidden layers changes. E_k is summed entry by entry, not through Gram matrices: those would lose
// it to cancellation below 1e-8.
template <class P, class Numbers, class Rows>
constexpr P squared_error(const Shape& net, Numbers W, Rows&& E, P rtol, P atol) {
  using Scalar = typename P::Scalar;
  P mean = zero<P>();
  Index n = 0;
  for (int k = 1; k <= net.depth(); ++k) {
    const int rows = net.rows(k), cols = net.cols(k);
    P error = zero<P>(), norm = zero<P>();
    E.enter(k);
    for (int i = 0; i < rows; ++i) {
      E.move_to(i);
      for (int j = 0; j < cols; ++j, ++n) {
        const P e = E[j], w = W[n];
        error = fma(e, e, error);
        norm = fma(w, w, norm);
      }
    }
    const P size(Scalar(double(rows) * cols));
    mean = mean + error / fma(rtol * rtol, norm, atol * atol * size);
  }
  return mean / P(Scalar(net.depth()));
}

// A step of a size that is given, after its start: W is at the next one, in the lanes of the mask.
// Between stages stop() may end it; false where it did. A rule's step has one stage.
template <class Stages, class Weights, class P, class Stop>
constexpr bool take_step(Stages& stages, Weights W, P h, [[maybe_unused]] Mask<P> mask,
                         [[maybe_unused]] Stop stop) {
  if constexpr (Stages::rule_arrays == 0) {
    const int count = stages.tableau().stages;
    if (count > 1) {
      for (int s = 0; s < count; ++s) {
        stages.evaluate(W, s, h);
        if (stop()) return false;
      }
      stages.advance(W, h, mask);
      return true;
    }
  }
  stages.descend(W, h);
  return true;
}

}  // namespace deeplinear
