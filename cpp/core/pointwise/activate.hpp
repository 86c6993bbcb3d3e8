// An activation of many numbers in memory, a register at a time.
#pragma once

#include <cstddef>
#include <cstring>

#include "pointwise/activation.hpp"
#include "simd/pack.hpp"
#include "simd/unroll.hpp"

namespace deeplinear {

namespace detail {

template <ActivationFunction A, bool Curvature, class Scalar>
inline void activate_all(std::ptrdiff_t n, Scalar* z, Scalar* slope, Scalar* curvature) {
  const auto apply = [&]<int Lanes>(Constant<Lanes>, std::ptrdiff_t i) {
    using P = Pack<Scalar, Lanes>;
    P x;
    std::memcpy(&x, z + i, sizeof(P));
    A::template apply<Curvature>(x, [&](const P& s, const P& ds, const P& dds) {
      std::memcpy(z + i, &s, sizeof(P));
      std::memcpy(slope + i, &ds, sizeof(P));
      if constexpr (Curvature) std::memcpy(curvature + i, &dds, sizeof(P));
    });
  };
  constexpr int lanes = native_lanes<Scalar>;
  std::ptrdiff_t i = 0;
  for (; i + lanes <= n; i += lanes) apply(Constant<lanes>{}, i);
  for (; i < n; ++i) apply(Constant<1>{}, i);
}

}  // namespace detail

// s(z) in place of z, s'(z) and, where curvature is not null, s''(z), of n numbers
template <class Scalar>
inline void activate(Activation activation, std::ptrdiff_t n, Scalar* z, Scalar* slope,
                     Scalar* curvature = nullptr) {
  with_activation(activation, [&]<class A>(A) {
    if (curvature) {
      detail::activate_all<A, true>(n, z, slope, curvature);
    } else {
      detail::activate_all<A, false>(n, z, slope, curvature);
    }
  });
}

}  // namespace deeplinear
