// Descent with momentum and weight decay, from M = 0:
//
//   g = K + d W,   M <- mu M + g,   W <- W - h M   (Polyak 1964),
//                                   W <- W - h (g + mu M)   (Nesterov 1983, as of Sutskever et al.
//                                                           2013 at the shifted weights).
//
// This is torch.optim.SGD with dampening 0. Since g = M' - mu M, the last line is also
// W <- W - h (1 + mu) M' + h mu M, and both are
//
//   M' = mu M + d W + K,   W' = W + alpha M - beta M',
//
// alpha = 0 and beta = h, or alpha = h mu and beta = h (1 + mu). Most runs are Polyak's without
// weight decay, which takes three operations a weight for five.
#pragma once

#include <array>

#include "model/layout.hpp"
#include "rules/rule.hpp"
#include "simd/aligned_array.hpp"
#include "simd/flush_to_zero.hpp"
#include "simd/pack.hpp"

namespace deeplinear {

template <class P_, bool General>
class MomentumOf {
 public:
  using P = P_;
  using Scalar = typename P::Scalar;
  static constexpr auto numbers = [] {
    if constexpr (General) {
      return std::array<std::string_view, 3>{"momentum", "nesterov", "weight_decay"};
    } else {
      return std::array<std::string_view, 1>{"momentum"};
    }
  }();
  static constexpr int arrays = 1;
  // Where a gradient is zero M shrinks to numbers below the smallest normal one, which are slow.
  using Guard = FlushToZero;

  explicit MomentumOf(const Layout& net) : M_(net.parameters, zero<P>()) {}

  void start(int lane, const RuleSettings& settings, const Scalar* from) {
    momentum_.set_lane(lane, Scalar(settings["momentum"]));
    decay_.set_lane(lane, Scalar(settings["weight_decay"]));
    shift_.set_lane(lane, Scalar(settings["nesterov"] != 0 ? settings["momentum"] : 0));
    for (P& m : M_) m.set_lane(lane, from ? *from++ : Scalar(0));
  }
  void store(int lane, Scalar* to) const {
    for (const P& m : M_) *to++ = m.lane(lane);
  }

  struct Step {
    const P* W;
    P* M;
    P momentum, decay, alpha, minus_beta;

    P row(const P& a) const { return a; }
    void operator()(P& w, const P& a, const P& x) const {
      P& m = M[&w - W];
      const P before = m, old = w;
      const P carried = momentum * before;
      if constexpr (General) {
        m = fma(a, x, fma(decay, old, carried));
        w = fma(minus_beta, m, fma(alpha, before, old));
      } else {
        m = fma(a, x, carried);
        w = fma(minus_beta, m, old);
      }
    }
  };
  Step step(P* W, const P& h) {
    return {W, M_.data(), momentum_, decay_, h * shift_, zero<P>() - fma(h, shift_, h)};
  }

 private:
  P momentum_ = zero<P>(), decay_ = zero<P>(), shift_ = zero<P>();  // shift: mu of Nesterov's form
  AlignedVector<P> M_;
};

template <class P>
using HeavyBall = MomentumOf<P, false>;
template <class P>
using Momentum = MomentumOf<P, true>;

static_assert(Rule<HeavyBall<Pack<double, 1>>> && Rule<Momentum<Pack<double, 1>>>);

// The same rule without M, as a recurrence of two steps:
//
//   W_{n+1} = W_n + delta (W_n - W_{n-1}) - h d W_n - h (a K_n + b K_{n-1}),
//   W_1 = W_0 - a h (K_0 + d W_0),
//
// with delta = mu, a = 1, b = 0, or delta = mu (1 - h d), a = 1 + mu, b = -mu: take M' and M out of
// the equations of two steps.
struct TwoSteps {
  double delta, decay, a, b;  // decay: h d

  TwoSteps(const RuleSettings& settings, double h) {
    const double momentum = settings["momentum"];
    const bool nesterov = settings["nesterov"] != 0;
    decay = h * settings["weight_decay"];
    delta = nesterov ? momentum * (1 - decay) : momentum;
    a = nesterov ? 1 + momentum : 1;
    b = nesterov ? -momentum : 0;
  }
};

}  // namespace deeplinear
