// The table of rules.
#pragma once

#include "rules/descent.hpp"
#include "rules/momentum.hpp"

namespace deeplinear {

template <template <class> class... R>
struct RuleList {};

using Rules = RuleList<Descent, HeavyBall, Momentum>;

// A rule as an argument
template <template <class> class R>
struct RuleTag {
  using One = R<Pack<double, 1>>;
};

namespace detail {

template <class Body, template <class> class... R>
constexpr void for_each_rule(RuleList<R...>, Body body) {
  (body(RuleTag<R>{}), ...);
}

}  // namespace detail

// Calls body(RuleTag<R>) for every rule, in the order of the table.
template <class Body>
constexpr void for_each_rule(Body body) {
  detail::for_each_rule(Rules{}, body);
}

}  // namespace deeplinear
