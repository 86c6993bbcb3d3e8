// DoubleDouble: numbers of some 32 digits, high + low with |low| <= eps |high| / 2, lane by lane.
//
// Sums and products carry their rounding errors along (Knuth 1969, Dekker 1971). Nothing here looks
// for overflow: magnitudes stay between 1e-140 and 1e140.
#pragma once

#include <cmath>

#include "simd/pack.hpp"

namespace deeplinear {

template <class P>
struct DoubleDouble {
  P high, low;

  explicit DoubleDouble(const P& x = zero<P>()) : high(x), low(zero<P>()) {}
  DoubleDouble(const P& h, const P& l) : high(h), low(l) {}

  // The number x in every lane
  template <class Number>
  static DoubleDouble everywhere(const DoubleDouble<Number>& x) {
    return {P(x.high.lane(0)), P(x.low.lane(0))};
  }

  // For |h| >= |l|
  static DoubleDouble normalized(const P& h, const P& l) {
    const P sum = h + l;
    return {sum, l - (sum - h)};
  }

  friend DoubleDouble operator-(const DoubleDouble& a) {
    return {zero<P>() - a.high, zero<P>() - a.low};
  }
  friend DoubleDouble operator+(const DoubleDouble& a, const DoubleDouble& b) {
    const DoubleDouble high = exact_sum(a.high, b.high), low = exact_sum(a.low, b.low);
    const DoubleDouble first = normalized(high.high, high.low + low.high);
    return normalized(first.high, first.low + low.low);
  }
  friend DoubleDouble operator-(const DoubleDouble& a, const DoubleDouble& b) { return a + -b; }
  friend DoubleDouble operator*(const DoubleDouble& a, const DoubleDouble& b) {
    const DoubleDouble high = exact_product(a.high, b.high);
    return normalized(high.high, high.low + (a.high * b.low + a.low * b.high));
  }
  friend DoubleDouble operator/(const DoubleDouble& a, const DoubleDouble& b) {
    DoubleDouble quotient(a.high / b.high);
    for (int i = 0; i < 2; ++i) {
      quotient = quotient + DoubleDouble((a - quotient * b).high / b.high);
    }
    return quotient;
  }

  static DoubleDouble exact_sum(const P& a, const P& b) {
    const P sum = a + b, part = sum - a;
    return {sum, (a - (sum - part)) + (b - part)};
  }

  static DoubleDouble exact_product(const P& a, const P& b) {
    const P product = a * b;
#if defined(__FMA__) || defined(__aarch64__)
    return {product, fma(a, b, zero<P>() - product)};
#else
    const DoubleDouble x = halves(a), y = halves(b);
    return {product,
            ((x.high * y.high - product) + x.high * y.low + x.low * y.high) + x.low * y.low};
#endif
  }

 private:
  // The upper 26 bits of the 53, and the rest
  static DoubleDouble halves(const P& a) {
    const P scaled = P(0x1p27 + 1) * a, upper = scaled - (scaled - a);
    return {upper, a - upper};
  }
};

using PreciseNumber = DoubleDouble<Pack<double, 1>>;

inline double rounded(const PreciseNumber& x) {
  return x.high.lane(0) + x.low.lane(0);
}
inline PreciseNumber precise(double x) {
  return PreciseNumber(Pack<double, 1>(x));
}

// Of a positive number, by a step of Newton from the square root of its first half
inline PreciseNumber sqrt(const PreciseNumber& x) {
  const PreciseNumber root = precise(std::sqrt(x.high.lane(0)));
  return root + precise((x - root * root).high.lane(0) / (2 * root.high.lane(0)));
}

// The sum of the lanes
template <class P>
inline PreciseNumber sum_of_lanes(const DoubleDouble<P>& x) {
  PreciseNumber sum;
  for (int i = 0; i < P::lanes; ++i) {
    sum = sum + PreciseNumber(Pack<double, 1>(x.high.lane(i)), Pack<double, 1>(x.low.lane(i)));
  }
  return sum;
}

}  // namespace deeplinear
