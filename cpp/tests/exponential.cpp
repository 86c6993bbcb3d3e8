// 2^x of packs against the exponential of the standard library in extended precision.
#include "simd/exponential.hpp"

#include <limits>

#include "check.hpp"
#include "simd/pack.hpp"

namespace {

using namespace deeplinear;
using namespace deeplinear::tests;

template <class P>
P ratio(const P& x) {
  const auto [shifted, B, rA] = power_of_two(x);
  return multiply_by_power((B + rA) / (B - rA), shifted);
}

// In units u of rounding: r is exact, r A / B is off by 3 u, or less than .55 u of the sums B +- r
// A as |r A / B| <= .172; twice that, the roundings of both sums and of the quotient make 4.1 u,
// and the polynomials' own error, 5e-10 in float32, is below .01 u.
template <class P>
void check_values(double largest) {
  using Scalar = typename P::Scalar;
  const long double unit = std::numeric_limits<Scalar>::epsilon() / 2;
  Numbers numbers(3);
  for (int i = 0; i < 20000; ++i) {
    const double reach = i % 2 ? largest : 1;
    const Scalar x = Scalar(numbers.between(-reach, reach));
    const long double exact = std::exp2((long double)(x));
    check_close(ratio(P(x)).lane(P::lanes - 1) / exact, 1, 4.2L * unit);
  }
}

// 2^x - 1 = 2 r A / (B - r A) of |x| < 1/2: r A is off by 2 u, the difference by 2 u (it is
// nearly B, off by 1 u, and rounded), the quotient by 1 u.
template <class P>
void check_small() {
  using Scalar = typename P::Scalar;
  const long double unit = std::numeric_limits<Scalar>::epsilon() / 2;
  Numbers numbers(4);
  for (int i = 0; i < 20000; ++i) {
    const double scale = std::exp2(-numbers.between(2, 30));
    const Scalar x = Scalar(numbers.between(-1, 1) * scale);
    if (x == 0) continue;
    const auto [shifted, B, rA] = power_of_two(P(x));
    const P found = (rA + rA) / (B - rA);
    const long double ln2 = 0.693147180559945309417232121458176568L;
    check_close(found.lane(0) / std::expm1(ln2 * x), 1, 5 * unit);
  }
}

// 2^n y is exact, for whole n; 2^0 is 1 and 2^1 is 2 as they stand.
template <class P>
void check_powers(int largest) {
  using Scalar = typename P::Scalar;
  for (int n = -largest; n <= largest; ++n) {
    const auto power = power_of_two(P(Scalar(n)));
    for (const Scalar y : {Scalar(1), Scalar(-1.5), Scalar(1.9990234375)}) {
      check_equal(multiply_by_power(P(y), power.shifted).lane(0), std::ldexp(y, n));
    }
    check_equal(ratio(P(Scalar(n))).lane(0), std::ldexp(Scalar(1), n));
  }
}

// A lane doesn't see the others.
template <class P>
void check_lanes() {
  using Scalar = typename P::Scalar;
  Numbers numbers(5);
  P x;
  for (int i = 0; i < P::lanes; ++i) x.set_lane(i, Scalar(numbers.between(-60, 60)));
  x.set_lane(0, std::numeric_limits<Scalar>::quiet_NaN());
  const P found = ratio(x);
  check(std::isnan(found.lane(0)));
  for (int i = 1; i < P::lanes; ++i) {
    check_equal(found.lane(i), ratio(Pack<Scalar, 1>(x.lane(i))).lane(0));
  }
}

template <class Scalar>
void check_precision(double largest) {
  constexpr int lanes = native_lanes<Scalar>;
  check_values<Pack<Scalar, 1>>(largest);
  check_values<Pack<Scalar, lanes>>(largest);
  check_small<Pack<Scalar, lanes>>();
  check_powers<Pack<Scalar, lanes>>(int(largest));
  check_powers<Pack<Scalar, 1>>(int(largest));
  check_lanes<Pack<Scalar, lanes>>();
  check_lanes<Pack<Scalar, 4 * lanes>>();
}

}  // namespace

int main() {
  check_precision<double>(1000);
  check_precision<float>(120);
  return status();
}
