// Gradient descent: W <- W - h K.
#pragma once

#include <array>

#include "model/layout.hpp"
#include "rules/rule.hpp"
#include "simd/pack.hpp"

namespace deeplinear {

template <class P_>
class Descent {
 public:
  using P = P_;
  using Scalar = typename P::Scalar;
  static constexpr std::array<std::string_view, 0> numbers{};
  static constexpr int arrays = 0;
  struct Guard {};

  explicit Descent(const Layout&) {}

  void start(int, const RuleSettings&, const Scalar*) {}
  void store(int, Scalar*) const {}

  struct Step {
    P scale;

    P row(const P& a) const { return scale * a; }
    void operator()(P& w, const P& factor, const P& x) const { w = fma(factor, x, w); }
  };
  Step step(P*, const P& h) const { return {zero<P>() - h}; }
};

static_assert(Rule<Descent<Pack<double, 1>>>);

}  // namespace deeplinear
