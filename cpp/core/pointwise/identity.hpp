// s(z) = z: the network is linear.
#pragma once

#include "simd/lane.hpp"

namespace deeplinear {

struct Identity {
  static constexpr const char* name = "identity";

  template <bool Curvature, class P, class Take>
  static constexpr void apply(const P& z, Take take) {
    using Scalar = typename P::Scalar;
    take(z, P(Scalar(1)), zero<P>());
  }
};

}  // namespace deeplinear
