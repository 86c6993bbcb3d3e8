// The ends of the range of a precision, and types of whole numbers.
#pragma once

namespace deeplinear {

using Count = __INT64_TYPE__;  // std::int64_t
using Index = decltype(static_cast<char*>(nullptr) - static_cast<char*>(nullptr));

template <class Scalar>
struct Precision;

template <>
struct Precision<double> {
  using Bits = unsigned long long;
  static constexpr int mantissa_bits = 52;
  static constexpr double epsilon = 0x1p-52;
  static constexpr double smallest = 0x1p-1022;  // normal number
  static constexpr double largest = 0x1.fffffffffffffp1023;
  static constexpr double infinity = __builtin_bit_cast(double, 0x7ffull << mantissa_bits);
};

template <>
struct Precision<float> {
  using Bits = unsigned;
  static constexpr int mantissa_bits = 23;
  static constexpr float epsilon = 0x1p-23f;
  static constexpr float smallest = 0x1p-126f;
  static constexpr float largest = 0x1.fffffep127f;
  static constexpr float infinity = __builtin_bit_cast(float, 0xffu << mantissa_bits);
};

}  // namespace deeplinear
