// 2^x and log2 x of one number, by operations that are the same to the bit on every machine with a
// fused multiply-add.
#pragma once

#include "simd/exponential.hpp"

namespace deeplinear {

// |x| below 1000
constexpr double exp2_of(double x) {
  using P = Pack<double, 1>;
  const PowerOfTwo<P> power = power_of_two(P(x));
  const P ratio = (power.B + power.rA) / (power.B - power.rA);
  return multiply_by_power(ratio, power.shifted).part[0];
}

// Of a normal number above zero: x = 2^n m with m from sqrt(1/2) to sqrt(2), and
//
//   log2 m = 2 log2(e) artanh(s),   s = (m - 1) / (m + 1),   artanh(s) = s + s^3 / 3 + s^5 / 5 ..
//
// with |s| < 0.172, where the terms beyond s^21 are below 1e-18 of the first.
constexpr double log2_of(double x) {
  using Bits = Precision<double>::Bits;
  constexpr int mantissa_bits = Precision<double>::mantissa_bits;
  constexpr Bits root_of_half = 0x3fe6a09e667f3bcdull;  // as bits
  const Bits bits = __builtin_bit_cast(Bits, x);
  // The exponent counts from root_of_half, in whole numbers.
  const auto n = static_cast<long long>(bits - root_of_half) >> mantissa_bits;
  const double m = __builtin_bit_cast(double, bits - (static_cast<Bits>(n) << mantissa_bits));
  const double s = (m - 1) / (m + 1), square = s * s;
  double sum = 1.0 / 21;
  for (int k = 19; k >= 3; k -= 2) sum = multiply_add(sum, square, 1.0 / k);
  return multiply_add(2 * log2_e * s, multiply_add(sum, square, 1.0), double(n));
}

}  // namespace deeplinear
