// Risk and gradient of a network whose risk is a mean over samples, for the runs of a pack.
//
// A block of samples is passed forward through all layers and back:
//
//   q = W_L^T p,   f = q . a_{L-1},   g = l'(f, y) / n,
//   delta_{L-1} = s'(z_{L-1}) q g,    delta_{k-1} = s'(z_{k-1}) W_k^T delta_k,
//   grad_k = sum_i delta_k a_{k-1}^T  (k < L),   grad_L = p (sum_i g a_{L-1})^T.
#pragma once

#include "lanes/block_products.hpp"
#include "model/shape.hpp"
#include "pointwise/activation.hpp"
#include "pointwise/loss.hpp"

namespace deeplinear {

// A problem as steps read it, in arrays that others own: the samples lie in blocks, and what is
// added to fill the last one has no share in the risk.
template <class Scalar>
struct SampleProblem {
  using Real = Scalar;
  Shape net;
  Activation activation;
  LossFunction loss;
  int blocks, widest;     // how many blocks, and the largest width
  const Scalar* inputs;   // (blocks, d, S)
  const Scalar* targets;  // (blocks, S)
  const Scalar* shares;   // (blocks, S), 1/n or 0
  const Scalar* readout;  // p (d_L,)
  Scalar minimum;         // R(w*)
};

// s(z) in place of z, and s'(z), of n packs; pointwise/activate.hpp has it for packs one after
// another.
template <class P, class Numbers>
constexpr void activate_packs(Activation activation, Index n, Numbers z, Numbers slope) {
  with_activation(activation, [&]<class A>(A) {
    for (Index i = 0; i < n; ++i) {
      A::template apply<false>(P(z[i]), [&](const P& s, const P& ds, const P&) {
        z[i] = s;
        slope[i] = ds;
      });
    }
  });
}

// The numbers of the runs lie at `memory`.
template <class P, class Numbers>
class SampleGradient {
 public:
  using Scalar = typename P::Scalar;
  using Data = SampleProblem<Scalar>;
  static constexpr int S = samples_at_once;

  // How many numbers of a run lie at `memory`
  static constexpr Index numbers(const Data& problem) {
    return 2 * problem.net.coordinates * S + 2 * Index(problem.widest) * (S + 1);
  }

  constexpr SampleGradient(const Data& problem, Numbers memory)
      : problem_(problem),
        a_(memory),
        slope_(a_ + problem.net.coordinates * S),
        delta_(slope_ + problem.net.coordinates * S),
        top_(delta_ + 2 * Index(problem.widest) * S) {}

  // G (P,) = the gradient at W (P,); returns the excess risk.
  constexpr P operator()(Numbers W, Numbers G) {
    const Shape& net = problem_.net;
    const int depth = net.depth(), last = net.cols(depth), outputs = net.rows(depth);
    for (Index n = 0; n < net.parameters; ++n) G[n] = zero<P>();
    const Numbers q = top_, sum = q + last;  // sum_i g a_{L-1}
    for (int j = 0; j < 2 * last; ++j) q[j] = zero<P>();
    Index n = net.weights[depth];
    for (int i = 0; i < outputs; ++i) {
      const P p(problem_.readout[i]);
      for (int j = 0; j < last; ++j, ++n) q[j] = fma(p, W[n], q[j]);
    }
    P risk = zero<P>();
    for (int b = 0; b < problem_.blocks; ++b) risk = risk + pass(b, W, q, sum, G);
    n = net.weights[depth];
    for (int i = 0; i < outputs; ++i) {
      const P p(problem_.readout[i]);
      for (int j = 0; j < last; ++j, ++n) G[n] = p * sum[j];
    }
    return risk - P(problem_.minimum);
  }

 private:
  // Adds the block's share to the gradients and to sum; returns its share of the risk.
  constexpr P pass(int b, Numbers W, Numbers q, Numbers sum, Numbers G) {
    const Shape& net = problem_.net;
    const int depth = net.depth(), last = net.cols(depth);
    const Scalar* x = problem_.inputs + Index(b) * net.widths[0] * S;
    for (int k = 1; k < depth; ++k) {
      const int rows = net.rows(k), cols = net.cols(k);
      with_input(k, x, [&](auto below) {
        block_product<P>(rows, cols, W + net.weights[k], cols, 1, below,
                         [to = a(k)](int i, const P& y) { to[i] = y; });
      });
      activate_packs<P>(problem_.activation, Index(rows) * S, a(k), slope(k));
    }
    P g[S];  // of the samples
    P risk = zero<P>();
    with_input(depth, x, [&](auto below) {
      risk = residuals(b, q, below, g);
      add_outer_products<P>(1, last, static_cast<const P*>(g), below, sum);
    });
    int k = depth - 1;
    if (k == 0) return risk;
    Numbers delta = delta_, next = delta_ + Index(problem_.widest) * S;
    for (int j = 0; j < net.rows(k); ++j) {
      for (int s = 0; s < S; ++s) delta[j * S + s] = q[j] * g[s] * slope(k)[j * S + s];
    }
    for (;; --k) {
      const int rows = net.rows(k), cols = net.cols(k);
      with_input(k, x, [&](auto below) {
        add_outer_products<P>(rows, cols, delta, below, G + net.weights[k]);
      });
      if (k == 1) return risk;
      block_product<P>(
          cols, rows, W + net.weights[k], 1, cols, delta,
          [to = next, factor = slope(k - 1)](int i, const P& y) { to[i] = y * factor[i]; });
      const Numbers used = delta;
      delta = next;
      next = used;
    }
  }

  // g of the block's samples; returns their share of the risk.
  template <class X>
  constexpr P residuals(int b, Numbers q, X below, P (&g)[S]) {
    block_product<P>(1, problem_.net.cols(problem_.net.depth()), q, 0, 1, below,
                     [to = g](int i, const P& y) { to[i] = y; });
    P risk = zero<P>();
    with_loss(problem_.loss, [&]<Loss L>(L) {
      for (int s = 0; s < S; ++s) {
        const P target(problem_.targets[b * S + s]), share(problem_.shares[b * S + s]);
        g[s] = add_loss<L>(g[s], target, share, risk);
      }
    });
    return risk;
  }

  // Calls body with a_{k-1}, where a_0 are the inputs, which all runs share.
  template <class Body>
  constexpr void with_input(int k, const Scalar* x, Body body) {
    if (k == 1) {
      body(x);
    } else {
      body(a(k - 1));
    }
  }

  constexpr Numbers a(int k) const { return a_ + problem_.net.vectors[k] * S; }
  constexpr Numbers slope(int k) const { return slope_ + problem_.net.vectors[k] * S; }

  const Data& problem_;
  Numbers a_, slope_;  // (d_k, S) for each k, one after another
  Numbers delta_;      // two of (widest, S)
  Numbers top_;        // q and sum
};

}  // namespace deeplinear
