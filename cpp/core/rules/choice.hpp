// Which rule a run takes: the first of the table that reads all numbers that are set for it,
// whatever else runs beside it. So its bits depend on its own numbers alone.
#pragma once

#include "rules/settings.hpp"
#include "rules/table.hpp"

namespace deeplinear {

// The place of a run's rule in the table, or -1 where none reads its numbers
inline int rule_of(const RuleSettings& settings) {
  int place = -1, next = 0;
  for_each_rule([&](auto tag) {
    if (place < 0 && settings.has_only(decltype(tag)::One::settings)) place = next;
    ++next;
  });
  return place;
}

// Calls body(RuleTag<R>) for the rule of a run; false where none reads its numbers.
template <class Body>
bool with_rule(const RuleSettings& settings, Body body) {
  const int chosen = rule_of(settings);
  int place = 0;
  for_each_rule([&](auto tag) {
    if (place++ == chosen) body(tag);
  });
  return chosen >= 0;
}

}  // namespace deeplinear
