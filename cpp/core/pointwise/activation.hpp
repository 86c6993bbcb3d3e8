// The functions between the layers, a file each, with their derivatives; here is their table.
#pragma once

#include <concepts>
#include <cstddef>
#include <cstring>
#include <tuple>
#include <type_traits>
#include <utility>

#include "model/problem.hpp"
#include "pointwise/gelu.hpp"
#include "pointwise/identity.hpp"
#include "pointwise/relu.hpp"
#include "pointwise/tanh.hpp"

namespace deeplinear {

// `name`, and `apply<Curvature>(z, take)`, which calls take(s(z), s'(z), s''(z)); s'' is there with
// Curvature alone. NaN stays NaN.
template <class A>
concept ActivationFunction = requires(const Pack<double, 1>& z) {
  { A::name } -> std::convertible_to<const char*>;
  A::template apply<true>(z, [](const auto&, const auto&, const auto&) {});
};

// An Activation is a place in this list; the identity is the first.
using Activations = std::tuple<Identity, Gelu, Tanh, Relu>;

// Calls body(function) with the function of that number.
template <class Body>
inline void with_activation(Activation activation, Body body) {
  [&]<std::size_t... I>(std::index_sequence<I...>) {
    (void)((std::size_t(activation) == I && (body(std::tuple_element_t<I, Activations>{}), true)) ||
           ...);
  }(std::make_index_sequence<std::tuple_size_v<Activations>>{});
}

namespace detail {

template <ActivationFunction A, bool Curvature, class Scalar>
inline void activate_all(std::ptrdiff_t n, Scalar* z, Scalar* slope, Scalar* curvature) {
  const auto apply = [&]<int Lanes>(std::integral_constant<int, Lanes>, std::ptrdiff_t i) {
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
  for (; i + lanes <= n; i += lanes) apply(std::integral_constant<int, lanes>{}, i);
  for (; i < n; ++i) apply(std::integral_constant<int, 1>{}, i);
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
