// l(f, y) = (f - y)^2
#pragma once

#include "simd/lane.hpp"

namespace deeplinear {

struct Squared {
  static constexpr const char* name = "squared";

  template <class P>
  static constexpr P value(const P& f, const P& y) {
    const P error = f - y;
    return error * error;
  }
  template <class P>
  static constexpr P slope(const P& f, const P& y) {
    const P error = f - y;
    return error + error;
  }
  template <class P>
  static constexpr P curvature(const P&, const P&) {
    return P(typename P::Scalar(2));
  }

  // The product with the share first: it is rounded once less.
  template <class P>
  static constexpr P add(const P& f, const P& y, const P& share, P& risk) {
    const P error = f - y, part = share * error;
    risk = fma(part, error, risk);
    return part + part;
  }
};

}  // namespace deeplinear
