// s(z) = max(z, 0)
#pragma once

#include "simd/lane.hpp"

namespace deeplinear {

struct Relu {
  static constexpr const char* name = "relu";

  template <bool Curvature, class P, class Take>
  static constexpr void apply(const P& z, Take take) {
    using Scalar = typename P::Scalar;
    const P one(Scalar(1)), none = zero<P>();
    const Mask<P> active = none < z;             // the slope at 0 is 0
    const Mask<P> kept = active | !(z <= none);  // NaN stays NaN
    take(select(kept, z, none), select(active, one, none), none);
  }
};

}  // namespace deeplinear
