// The functions between the layers, with their derivatives.
#pragma once

#include <cstddef>
#include <cstring>
#include <type_traits>

#include "model/problem.hpp"
#include "simd/exponential.hpp"

namespace deeplinear {

inline constexpr double log2_e = 1.4426950408889634;

// Calls take(s(z), s'(z), s''(z)); s'' is there with Curvature alone.
template <Activation A, bool Curvature, class P, class Take>
inline void activate(const P& z, Take take) {
  using Scalar = typename P::Scalar;
  const P one(Scalar(1)), none = zero<P>();
  if constexpr (A == Activation::identity) {
    take(z, one, none);
  } else if constexpr (A == Activation::relu) {
    const Mask<P> active = none < z;             // the slope at 0 is 0
    const Mask<P> kept = active | !(z <= none);  // NaN stays NaN
    take(select(kept, z, none), select(active, one, none), none);
  } else if constexpr (A == Activation::tanh) {
    // s = (e - 1) / (e + 1), e = exp(2 z);  s' = 1 - s^2,  s'' = -2 s s'
    const P x = at_most(at_least(z, Scalar(-20)), Scalar(20));  // where tanh has long been 1
    const auto [shifted, B, rA] = power_of_two(P(Scalar(2 * log2_e)) * x);
    const P scale = multiply_by_power(one, shifted);
    const P s = fma(scale - one, B, (scale + one) * rA) / fma(scale + one, B, (scale - one) * rA);
    const P slope = (one - s) * (one + s);
    take(s, slope, Curvature ? P(Scalar(-2)) * s * slope : none);
  } else {
    // s = z g(t), g(t) = 1 / (1 + exp(-t)) = (1 + tanh(t / 2)) / 2, t = 2 sqrt(2 / pi) (z +
    // 0.044715 z^3);  s' = g (1 + (1 - g) h), h = z t';  s'' = g (1 - g) (t' (2 + (1 - 2 g) h) + z
    // t'')
    constexpr Scalar c = Scalar(1.5957691216057308), cubic = Scalar(0.044715) * c;
    constexpr Scalar c2 = c * Scalar(log2_e), cubic2 = cubic * Scalar(log2_e);
    // Above it g is 1, and below minus it as small as normal numbers are.
    constexpr Scalar bound = sizeof(Scalar) == 8 ? Scalar(21) : Scalar(9.5);
    const P tail = at_least(z, -bound), x = at_most(tail, bound), square = x * x;
    const auto [shifted, B, rA] = power_of_two(x * fma(square, P(-cubic2), P(-c2)));
    // g and 1 - g have a share of the same denominator each: neither is lost to cancellation.
    const P below = B - rA, above = multiply_by_power(B + rA, shifted);
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
}

namespace detail {

template <Activation A, bool Curvature, class Scalar>
inline void activate_all(std::ptrdiff_t n, Scalar* z, Scalar* slope, Scalar* curvature) {
  const auto apply = [&]<int Lanes>(std::integral_constant<int, Lanes>, std::ptrdiff_t i) {
    using P = Pack<Scalar, Lanes>;
    P x;
    std::memcpy(&x, z + i, sizeof(P));
    activate<A, Curvature>(x, [&](const P& s, const P& ds, const P& dds) {
      std::memcpy(z + i, &s, sizeof(P));
      std::memcpy(slope + i, &ds, sizeof(P));
      if constexpr (Curvature) std::memcpy(curvature + i, &dds, sizeof(P));
    });
  };
  constexpr int lanes = native_lanes<Scalar>;
  std::ptrdiff_t i = 0;
  for (; i + lanes <= n; i += lanes) apply(std::integral_constant<int, lanes>{}, i);
  for (; i < n; ++i) apply(std::integral_constant<int, 1>{}, i);
}

}  // namespace detail

// s(z) in place of z, s'(z) and, where curvature is not null, s''(z), of n numbers
template <class Scalar>
inline void activate(Activation activation, std::ptrdiff_t n, Scalar* z, Scalar* slope,
                     Scalar* curvature = nullptr) {
  const auto run = [&]<Activation A>(std::integral_constant<Activation, A>) {
    if (curvature) {
      detail::activate_all<A, true>(n, z, slope, curvature);
    } else {
      detail::activate_all<A, false>(n, z, slope, curvature);
    }
  };
  switch (activation) {
    case Activation::identity:
      return run(std::integral_constant<Activation, Activation::identity>{});
    case Activation::gelu:
      return run(std::integral_constant<Activation, Activation::gelu>{});
    case Activation::tanh:
      return run(std::integral_constant<Activation, Activation::tanh>{});
    case Activation::relu:
      return run(std::integral_constant<Activation, Activation::relu>{});
  }
}

}  // namespace deeplinear
