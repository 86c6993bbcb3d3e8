// s(z) = z (1 + tanh(sqrt(2 / pi) (z + 0.044715 z^3))) / 2
#pragma once

#include "simd/exponential.hpp"

namespace deeplinear {

struct Gelu {
  static constexpr const char* name = "gelu";

  template <bool Curvature, class P, class Take>
  static constexpr void apply(const P& z, Take take) {
    using Scalar = typename P::Scalar;
    const P one(Scalar(1)), none = zero<P>();
    // s = z g(t), g(t) = 1 / (1 + exp(-t)) = (1 + tanh(t / 2)) / 2, t = 2 sqrt(2 / pi) (z +
    // 0.044715 z^3);  s' = g (1 + (1 - g) h), h = z t';  s'' = g (1 - g) (t' (2 + (1 - 2 g) h) + z
    // t'')
    constexpr Scalar c = Scalar(1.5957691216057308), cubic = Scalar(0.044715) * c;
    constexpr Scalar c2 = c * Scalar(log2_e), cubic2 = cubic * Scalar(log2_e);
    // Above it g is 1, and below minus it as small as normal numbers are.
    constexpr Scalar bound = sizeof(Scalar) == 8 ? Scalar(21) : Scalar(9.5);
    const P tail = at_least(z, -bound), x = at_most(tail, bound), square = x * x;
    const PowerOfTwo<P> power = power_of_two(x * fma(square, P(-cubic2), P(-c2)));
    // g and 1 - g have a share of the same denominator each: neither is lost to cancellation.
    const P below = power.B - power.rA,
            above = multiply_by_power(power.B + power.rA, power.shifted);
    const P inverse = one / (below + above);
    const P g = below * inverse, rest = above * inverse;
    const P dt = fma(square, P(3 * cubic), P(c)), h = x * dt;
    P curvature = none;
    if constexpr (Curvature) {
      const P inner = fma(rest - g, h, P(Scalar(2)));
      curvature = g * rest * fma(dt, inner, P(6 * cubic) * square);
    }
    take(tail * g, g * fma(h, rest, one), curvature);
  }
};

}  // namespace deeplinear
