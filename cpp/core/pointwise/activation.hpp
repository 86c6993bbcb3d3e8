// The functions between the layers, a file each, with their derivatives; here is their table.
#pragma once

#include "model/functions.hpp"
#include "pointwise/gelu.hpp"
#include "pointwise/identity.hpp"
#include "pointwise/relu.hpp"
#include "pointwise/tanh.hpp"
#include "simd/type_list.hpp"

namespace deeplinear {

// `name`, and `apply<Curvature>(z, take)`, which calls take(s(z), s'(z), s''(z)); s'' is there with
// Curvature alone. NaN stays NaN.
template <class A>
concept ActivationFunction = requires(const Pack<double, 1>& z) {
  A::name;
  A::template apply<true>(z, [](const auto&, const auto&, const auto&) {});
};

// An Activation is a place in this list; the identity is the first.
using Activations = TypeList<Identity, Gelu, Tanh, Relu>;

// Calls body(function) with the function of that number.
template <class Body>
constexpr void with_activation(Activation activation, Body body) {
  Activations::visit(int(activation), body);
}

}  // namespace deeplinear
