// The losses of an output f beside its target y, a file each, with their derivatives in f; here is
// their table.
#pragma once

#include "model/functions.hpp"
#include "pointwise/squared.hpp"
#include "simd/type_list.hpp"

namespace deeplinear {

// `name`, and of every lane l(f, y), l'(f, y) and l''(f, y) >= 0. One that can also sum with less
// rounding has `add(f, y, share, risk)`: risk += share l, and it returns share l'.
template <class L>
concept Loss = requires(const Pack<double, 1>& f, const Pack<double, 1>& y) {
  L::name;
  L::value(f, y) + L::slope(f, y) + L::curvature(f, y);
};

// A LossFunction is a place in this list; the squared loss is the first.
using Losses = TypeList<Squared>;

// Calls body(loss) with the loss of that number.
template <class Body>
constexpr void with_loss(LossFunction loss, Body body) {
  Losses::visit(int(loss), body);
}

// risk += share l(f, y); returns share l'(f, y).
template <Loss L, class P>
constexpr P add_loss(const P& f, const P& y, const P& share, P& risk) {
  if constexpr (requires { L::add(f, y, share, risk); }) {
    return L::add(f, y, share, risk);
  } else {
    risk = fma(share, L::value(f, y), risk);
    return share * L::slope(f, y);
  }
}

}  // namespace deeplinear
