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

template <>
struct Exponential<double> {
  // Adding it rounds to a whole number n, and leaves n in the lowest bits.
  static constexpr double magic = 0x1.8p52;
  // r A / B is tanh(r (ln 2) / 2) to 5e-18 of itself. The leading 1 of A costs no product.
  static constexpr int degree_A = 2, degree_B = 2;
  static constexpr double A[degree_A]{65550.99721528536, 874.7433576460901};
  static constexpr double B[degree_B + 1]{189140.19721563687, 10096.723958697612,
                                          43.30054422322444};
};

template <>
struct Exponential<float> {
  static constexpr float magic = 0x1.8p23f;
  // to 5e-10
  static constexpr int degree_A = 1, degree_B = 1;
  static constexpr float A[degree_A]{125.04289490252154f};
  static constexpr float B[degree_B + 1]{360.79752894108213f, 17.33089784580686f};
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
  P A = square + P(E::A[E::degree_A - 1]), B(E::B[E::degree_B]);
  for (int i = E::degree_A - 1; i-- > 0;) A = fma(A, square, P(E::A[i]));
  for (int i = E::degree_B; i-- > 0;) B = fma(B, square, P(E::B[i]));
  return {shifted, B, r * A};
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
