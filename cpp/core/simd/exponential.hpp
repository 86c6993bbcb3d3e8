// 2^x of a pack as a ratio, for functions that divide anyway:
//
//   x = n + r,  |r| <= 1/2,   2^x = 2^n (B + r A) / (B - r A),   r A / B = tanh(r (ln 2) / 2),
//
// with minimax polynomials A and B in r^2. Nothing cancels: 2^x - 1 keeps its accuracy near x = 0
// as (2^n - 1) B + (2^n + 1) r A over B - r A.
#pragma once

#include "simd/lane.hpp"

namespace deeplinear {

inline constexpr double log2_e = 1.4426950408889634;
namespace detail {

template <class Scalar>
struct Exponential;

// Numbers of a class that are chosen while code runs lie in memory that devices do not see: these
// are written out.
template <>
struct Exponential<double> {
  // Adding it rounds to a whole number n, and leaves n in the lowest bits.
  static constexpr double magic = 0x1.8p52;
  // r A / B is tanh(r (ln 2) / 2) to 5e-18 of itself. The leading 1 of A costs no product.
  template <class P>
  static constexpr P A(const P& square) {
    return fma(square + P(874.7433576460901), square, P(65550.99721528536));
  }
  template <class P>
  static constexpr P B(const P& square) {
    return fma(fma(P(43.30054422322444), square, P(10096.723958697612)), square,
               P(189140.19721563687));
  }
};

template <>
struct Exponential<float> {
  static constexpr float magic = 0x1.8p23f;
  // to 5e-10
  template <class P>
  static constexpr P A(const P& square) {
    return square + P(125.04289490252154f);
  }
  template <class P>
  static constexpr P B(const P& square) {
    return fma(P(17.33089784580686f), square, P(360.79752894108213f));
  }
};

}  // namespace detail

// 2^x = 2^n (B + rA) / (B - rA); 0 < B - rA. shifted has n in its lowest bits.
template <class P>
struct PowerOfTwo {
  P shifted, B, rA;
};

// NaN gives NaN.
template <class P>
constexpr PowerOfTwo<P> power_of_two(const P& x) {
  using E = detail::Exponential<typename P::Scalar>;
  const P shifted = x + P(E::magic);
  const P r = x + (P(E::magic) - shifted);
  const P square = r * r;
  return {shifted, E::B(square), r * E::A(square)};
}

// 2^n y for the n in the lowest bits of shifted, by adding it to the exponent of y: y is normal,
// and so is the result.
template <class P>
constexpr P multiply_by_power(const P& y, const P& shifted) {
  return P::map(
      [](auto a, auto n) -> typename P::Register {
        using Integers = typename P::In::Integers;
        constexpr int bits = Precision<typename P::Scalar>::mantissa_bits;
        return __builtin_bit_cast(
            typename P::Register,
            Integers(__builtin_bit_cast(Integers, a) + (__builtin_bit_cast(Integers, n) << bits)));
      },
      y, shifted);
}

}  // namespace deeplinear
