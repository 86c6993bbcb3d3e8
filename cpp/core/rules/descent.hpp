// Gradient descent: W <- W - h K.
#pragma once

#include "rules/rule.hpp"

namespace deeplinear {

template <class P>
struct Descent : RuleWithoutNumbers<P> {
  static constexpr SettingNames<0> settings{};

  struct Step {
    P scale;

    constexpr P row(const P& a) const { return scale * a; }
    template <class Kept>
    constexpr P operator()(const P& w, const P& factor, const P& x, Kept) const {
      return fma(factor, x, w);
    }
  };
  constexpr Step step(const P& h) const { return {zero<P>() - h}; }
};

static_assert(Rule<Descent<Pack<double, 1>>>);

}  // namespace deeplinear
