// Which stages take the steps of a rule in a large network.
#pragma once

#include "rules/table.hpp"
#include "wide/momentum.hpp"
#include "wide/stages.hpp"

namespace deeplinear {

// void where a rule has no form here
template <class R>
struct WideStagesOf {
  using type = void;
};
template <class P>
struct WideStagesOf<Descent<P>> {
  using type = WideStages<typename P::Scalar>;
};
template <class P, bool General>
struct WideStagesOf<MomentumOf<P, General>> {
  using type = WideMomentum<typename P::Scalar>;
};

}  // namespace deeplinear
