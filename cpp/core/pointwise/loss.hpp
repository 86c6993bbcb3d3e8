// The losses of an output f beside its target y, a file each, with their derivatives in f; here is
// their table.
#pragma once

#include <concepts>
#include <cstddef>
#include <tuple>
#include <utility>

#include "model/problem.hpp"
#include "pointwise/squared.hpp"

namespace deeplinear {

// `name`, and of every lane l(f, y), l'(f, y) and l''(f, y) >= 0. One that can also sum with less
// rounding has `add(f, y, share, risk)`: risk += share l, and it returns share l'.
template <class L>
concept Loss = requires(const Pack<double, 1>& f, const Pack<double, 1>& y) {
  { L::name } -> std::convertible_to<const char*>;
  { L::value(f, y) } -> std::same_as<Pack<double, 1>>;
  { L::slope(f, y) } -> std::same_as<Pack<double, 1>>;
  { L::curvature(f, y) } -> std::same_as<Pack<double, 1>>;
};

// A LossFunction is a place in this list; the squared loss is the first.
using Losses = std::tuple<Squared>;

// Calls body(loss) with the loss of that number.
template <class Body>
inline void with_loss(LossFunction loss, Body body) {
  [&]<std::size_t... I>(std::index_sequence<I...>) {
    (void)((std::size_t(loss) == I && (body(std::tuple_element_t<I, Losses>{}), true)) || ...);
  }(std::make_index_sequence<std::tuple_size_v<Losses>>{});
}

// risk += share l(f, y); returns share l'(f, y).
template <Loss L, class P>
inline P add_loss(const P& f, const P& y, const P& share, P& risk) {
  if constexpr (requires { L::add(f, y, share, risk); }) {
    return L::add(f, y, share, risk);
  } else {
    risk = fma(share, L::value(f, y), risk);
    return share * L::slope(f, y);
  }
}

// R(0), the risk of the zero map
inline double risk_of_zero(const Problem& problem) {
  if (!problem.by_samples()) return problem.risk.minimum + problem.risk.excess_of_zero();
  using One = Pack<double, 1>;
  double sum = 0;
  with_loss(problem.samples.loss, [&]<Loss L>(L) {
    for (const double y : problem.samples.train.targets) {
      sum += L::value(zero<One>(), One(y)).lane(0);
    }
  });
  return sum / problem.samples.train.count();
}

}  // namespace deeplinear
