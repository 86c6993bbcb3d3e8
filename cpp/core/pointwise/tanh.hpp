// s(z) = tanh(z)
#pragma once

#include "simd/exponential.hpp"

namespace deeplinear {

struct Tanh {
  static constexpr const char* name = "tanh";

  template <bool Curvature, class P, class Take>
  static constexpr void apply(const P& z, Take take) {
    using Scalar = typename P::Scalar;
    const P one(Scalar(1)), none = zero<P>();
    // s = (e - 1) / (e + 1), e = exp(2 z);  s' = 1 - s^2,  s'' = -2 s s'
    const P x = at_most(at_least(z, Scalar(-20)), Scalar(20));  // where tanh has long been 1
    const PowerOfTwo<P> power = power_of_two(P(Scalar(2 * log2_e)) * x);
    const P scale = multiply_by_power(one, power.shifted);
    const P s = fma(scale - one, power.B, (scale + one) * power.rA) /
                fma(scale + one, power.B, (scale - one) * power.rA);
    const P slope = (one - s) * (one + s);
    take(s, slope, Curvature ? P(Scalar(-2)) * s * slope : none);
  }
};

}  // namespace deeplinear
