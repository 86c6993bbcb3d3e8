// The table of rules. A run takes the first that reads all numbers that are set for it, whatever
// else runs beside it: its bits depend on its own numbers alone.
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
void for_each_rule(RuleList<R...>, Body body) {
  (body(RuleTag<R>{}), ...);
}

template <class Body, template <class> class... R>
bool with_rule(RuleList<R...>, const RuleSettings& settings, Body body) {
  return ((settings.has_only(RuleTag<R>::One::numbers) && (body(RuleTag<R>{}), true)) || ...);
}

}  // namespace detail

// Calls body(RuleTag<R>) for every rule, in the order of the table.
template <class Body>
void for_each_rule(Body body) {
  detail::for_each_rule(Rules{}, body);
}

// Calls body(RuleTag<R>) for the rule of a run; false where none reads its numbers.
template <class Body>
bool with_rule(const RuleSettings& settings, Body body) {
  return detail::with_rule(Rules{}, settings, body);
}

// The place of a run's rule in the table, or -1
inline int rule_of(const RuleSettings& settings) {
  int place = -1, next = 0;
  for_each_rule([&](auto tag) {
    if (place < 0 && settings.has_only(decltype(tag)::One::numbers)) place = next;
    ++next;
  });
  return place;
}

}  // namespace deeplinear
