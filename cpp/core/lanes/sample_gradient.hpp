// Risk and gradient of a network whose risk is a mean over samples, for the runs of a pack.
//
// A block of samples is passed forward through all layers and back:
//
//   q = W_L^T p,   f = q . a_{L-1},   g = l'(f, y) / n,
//   delta_{L-1} = s'(z_{L-1}) q g,    delta_{k-1} = s'(z_{k-1}) W_k^T delta_k,
//   grad_k = sum_i delta_k a_{k-1}^T  (k < L),   grad_L = p (sum_i g a_{L-1})^T.
#pragma once

#include <algorithm>
#include <vector>

#include "lanes/block_products.hpp"
#include "model/problem.hpp"
#include "pointwise/activation.hpp"
#include "pointwise/loss.hpp"
#include "simd/aligned_array.hpp"

namespace deeplinear {

template <class P>
class SampleGradient {
 public:
  using Scalar = typename P::Scalar;
  using Index = Layout::Index;
  static constexpr int S = samples_at_once;

  explicit SampleGradient(const Problem& problem)
      : net_(problem.net),
        activation_(problem.samples.activation),
        loss_(problem.samples.loss),
        readout_(problem.readout.begin(), problem.readout.end()),
        minimum_(Scalar(problem.risk.minimum)) {
    const SampleSet& train = problem.samples.train;
    const int n = train.count(), d = net_.widths[0];
    blocks_ = (n + S - 1) / S;
    inputs_.assign(std::size_t(blocks_) * d * S, Scalar(0));
    targets_.assign(std::size_t(blocks_) * S, Scalar(0));
    shares_.assign(std::size_t(blocks_) * S, Scalar(0));
    for (int i = 0; i < n; ++i) {
      const int b = i / S, s = i % S;
      for (int j = 0; j < d; ++j) {
        inputs_[(std::size_t(b) * d + j) * S + s] = Scalar(train.inputs[std::size_t(i) * d + j]);
      }
      targets_[i] = Scalar(train.targets[i]);
      shares_[i] = Scalar(1.0 / n);
    }
    const int widest = *std::max_element(net_.widths.begin(), net_.widths.end());
    a_.assign(net_.coordinates * S, zero<P>());
    slope_.assign(net_.coordinates * S, zero<P>());
    delta_.assign(2 * Index(widest) * S, zero<P>());
    top_.assign(2 * Index(widest), zero<P>());
  }

  // The numbers of a run that a pass over a block goes through: W, G, a_k and s'(z_k).
  static Index numbers(const Layout& net) { return 2 * (net.parameters + net.coordinates * S); }

  // G (P,) = the gradient at W (P,); returns the excess risk.
  P operator()(const P* W, P* G) {
    const int depth = net_.depth(), last = net_.cols(depth);
    std::fill_n(G, net_.parameters, zero<P>());
    P *q = top_.data(), *sum = q + last;  // sum_i g a_{L-1}
    std::fill_n(sum, last, zero<P>());
    std::fill_n(q, last, zero<P>());
    const P* w = W + net_.weights[depth];
    for (const Scalar p : readout_) {
      for (int j = 0; j < last; ++j) q[j] = fma(P(p), *w++, q[j]);
    }
    P risk = zero<P>();
    for (int b = 0; b < blocks_; ++b) risk = risk + pass(b, W, q, sum, G);
    P* grad = G + net_.weights[depth];
    for (const Scalar p : readout_) {
      for (int j = 0; j < last; ++j) *grad++ = P(p) * sum[j];
    }
    return risk - P(minimum_);
  }

 private:
  // Adds the block's share to the gradients and to sum; returns its share of the risk.
  P pass(int b, const P* W, const P* q, P* sum, P* G) {
    const Scalar* x = inputs_.data() + std::size_t(b) * net_.widths[0] * S;
    for (int k = 1; k < net_.depth(); ++k) {
      const int rows = net_.rows(k), cols = net_.cols(k);
      with_input(k, x, [&](const auto* below) {
        block_product(rows, cols, W + net_.weights[k], cols, 1, below,
                      [to = a(k)](int i, const P& y) { to[i] = y; });
      });
      activate(activation_, std::ptrdiff_t(rows) * S * P::lanes, reinterpret_cast<Scalar*>(a(k)),
               reinterpret_cast<Scalar*>(slope(k)));
    }
    P risk = zero<P>();
    P* delta = delta_.data();
    with_input(net_.depth(), x, [&](const auto* below) {
      risk = residuals(b, q, below);
      add_outer_products(1, net_.cols(net_.depth()), residual_, below, sum);
    });
    int k = net_.depth() - 1;
    if (k == 0) return risk;
    for (int j = 0; j < net_.rows(k); ++j) {
      for (int s = 0; s < S; ++s) delta[j * S + s] = q[j] * residual_[s] * slope(k)[j * S + s];
    }
    for (P* next = delta + delta_.size() / 2;; --k, std::swap(delta, next)) {
      const int rows = net_.rows(k), cols = net_.cols(k);
      with_input(k, x, [&](const auto* below) {
        add_outer_products(rows, cols, delta, below, G + net_.weights[k]);
      });
      if (k == 1) return risk;
      block_product(
          cols, rows, W + net_.weights[k], 1, cols, delta,
          [to = next, factor = slope(k - 1)](int i, const P& y) { to[i] = y * factor[i]; });
    }
  }

  // residual_ = g of the block's samples; returns their share of the risk.
  template <class X>
  P residuals(int b, const P* q, const X* below) {
    block_product(1, net_.cols(net_.depth()), q, 0, 1, below,
                  [to = residual_](int i, const P& y) { to[i] = y; });
    P risk = zero<P>();
    with_loss(loss_, [&]<Loss L>(L) {
      for (int s = 0; s < S; ++s) {
        const P target(targets_[b * S + s]), share(shares_[b * S + s]);
        residual_[s] = add_loss<L>(residual_[s], target, share, risk);
      }
    });
    return risk;
  }

  // Calls body with a_{k-1}, where a_0 are the inputs, which all runs share.
  template <class Body>
  void with_input(int k, const Scalar* x, Body body) {
    if (k == 1) {
      body(x);
    } else {
      body(static_cast<const P*>(a(k - 1)));
    }
  }

  P* a(int k) { return a_.data() + net_.vectors[k] * S; }
  P* slope(int k) { return slope_.data() + net_.vectors[k] * S; }

  const Layout& net_;
  const Activation activation_;
  const LossFunction loss_;
  const std::vector<Scalar> readout_;
  const Scalar minimum_;
  int blocks_ = 0;
  // By blocks of samples; what is added to fill the last one has no share in the risk.
  std::vector<Scalar> inputs_;   // (blocks, d, S)
  std::vector<Scalar> targets_;  // (blocks, S)
  std::vector<Scalar> shares_;   // (blocks, S), 1/n or 0
  AlignedVector<P> a_, slope_;   // (d_k, S) for each k, one after another
  AlignedVector<P> delta_;       // two of (widest, S)
  AlignedVector<P> top_;         // q and sum
  P residual_[S];
};

}  // namespace deeplinear
