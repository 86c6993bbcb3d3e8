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

#include "rules/rule.hpp"

namespace deeplinear {

template <class P_, bool General>
class MomentumOf {
  static constexpr auto names() {
    if constexpr (General) {
      return SettingNames<3>{"momentum", "nesterov", "weight_decay"};
    } else {
      return SettingNames<1>{"momentum"};
    }
  }

 public:
  using P = P_;
  using Scalar = typename P::Scalar;
  static constexpr auto settings = names();
  static constexpr int numbers = 3;
  static constexpr int arrays = 1;
  // Where a gradient is zero M shrinks to numbers below the smallest normal one, which are slow.
  static constexpr bool flushes = true;

  template <class Settings>
  static constexpr void read(const Settings& from, double* to) {
    to[0] = from["momentum"];
    to[1] = from["weight_decay"];
    to[2] = from["nesterov"] != 0 ? to[0] : 0;
  }
  constexpr void start(int lane, const Scalar* from) {
    momentum_.set_lane(lane, from[0]);
    decay_.set_lane(lane, from[1]);
    shift_.set_lane(lane, from[2]);
  }

  struct Step {
    P momentum, decay, alpha, minus_beta;

    constexpr P row(const P& a) const { return a; }
    template <class Kept>
    constexpr P operator()(const P& w, const P& a, const P& x, Kept kept) const {
      const P before = kept[0], carried = momentum * before;
      if constexpr (General) {
        const P m = fma(a, x, fma(decay, w, carried));
        kept[0] = m;
        return fma(minus_beta, m, fma(alpha, before, w));
      } else {
        const P m = fma(a, x, carried);
        kept[0] = m;
        return fma(minus_beta, m, w);
      }
    }
  };
  constexpr Step step(const P& h) const {
    return {momentum_, decay_, h * shift_, zero<P>() - fma(h, shift_, h)};
  }

 private:
  P momentum_ = zero<P>(), decay_ = zero<P>(), shift_ = zero<P>();  // shift: mu of Nesterov's form
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

  template <class Settings>
  TwoSteps(const Settings& settings, double h) {
    const double momentum = settings["momentum"];
    const bool nesterov = settings["nesterov"] != 0;
    decay = h * settings["weight_decay"];
    delta = nesterov ? momentum * (1 - decay) : momentum;
    a = nesterov ? 1 + momentum : 1;
    b = nesterov ? -momentum : 0;
  }
};

}  // namespace deeplinear
