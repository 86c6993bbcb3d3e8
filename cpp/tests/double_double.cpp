// Numbers of two parts against whole numbers of 62 bits, fractions with known digits, and
// identities.
#include "simd/double_double.hpp"

#include <cstdint>

#include "check.hpp"

namespace {

using namespace deeplinear;
using namespace deeplinear::tests;

using One = Pack<double, 1>;
using Whole = std::int64_t;

// The sum of both parts; they are whole numbers below 2^62.
Whole whole(const PreciseNumber& x) {
  return Whole(x.high.lane(0)) + Whole(x.low.lane(0));
}

// high + low of a whole number below 2^62: the cast rounds to 53 bits, and the rest has 10.
PreciseNumber of_whole(Whole x) {
  const double high = double(x);
  return {One(high), One(double(x - Whole(high)))};
}

Whole some_whole(Numbers& numbers, int bits) {
  const auto size = Whole(numbers.between(0, std::exp2(std::min(bits, 31))));
  const auto rest = bits > 31 ? Whole(numbers.between(0, std::exp2(bits - 31))) : 0;
  return (numbers.below(2) ? 1 : -1) * ((rest << 31) + size);
}

bool is_normalized(const PreciseNumber& x) {
  return x.high.lane(0) + x.low.lane(0) == x.high.lane(0);
}

void check_whole_numbers() {
  Numbers numbers(6);
  for (int i = 0; i < 5000; ++i) {
    const Whole a = some_whole(numbers, 61), b = some_whole(numbers, 61);
    const auto x = of_whole(a), y = of_whole(b);
    check(whole(x) == a && is_normalized(x));
    check(whole(x + y) == a + b && is_normalized(x + y));
    check(whole(x - y) == a - b && is_normalized(x - y));
    check(whole(-x) == -a);
    // Without an error at all, of single numbers
    check(whole(PreciseNumber::exact_sum(x.high, y.low)) ==
          Whole(x.high.lane(0)) + Whole(y.low.lane(0)));
    const Whole c = some_whole(numbers, 31), d = some_whole(numbers, 31);
    check(whole(PreciseNumber::exact_product(One(double(c)), One(double(d)))) == c * d);
    check(whole(of_whole(c) * of_whole(d)) == c * d);
    // b = q d for whole q: the quotient is exact in 62 bits.
    const Whole q = some_whole(numbers, 31);
    if (d != 0) check(whole(of_whole(q * d) / of_whole(d)) == q);
  }
}

// |x - y| <= tolerance |y|
void check_near(const PreciseNumber& x, const PreciseNumber& y, double tolerance,
                int line = __builtin_LINE()) {
  const double difference = rounded(x - y);
  check_close(difference, 0, tolerance * std::abs(rounded(y)), line, __FILE__);
}

// 1/3 = h + h 2^-54 + ..., h the next double: in binary its digits repeat, 27 pairs at a time.
void check_fractions() {
  const auto third = precise(1) / precise(3);
  check_equal(third.high.lane(0), 1.0 / 3);
  check_close(third.low.lane(0), std::ldexp(1.0 / 3, -54), 0x1p-104);
  // sqrt(2) = 1.41421356237309504880168872420969807856967187537694...: its parts in double
  const auto root = sqrt(precise(2));
  check_equal(root.high.lane(0), 1.4142135623730951);
  check_close(root.low.lane(0), -9.667293313452913e-17, 0x1p-104);
  check_equal(rounded(precise(0.1) + precise(0.2)), 0.30000000000000004);
}

// Every operation is off by a few 2^-104: ten such at most in what follows.
void check_identities() {
  constexpr double tolerance = 10 * 0x1p-104;
  Numbers numbers(7);
  const auto some_number = [&] {
    const double size = std::exp2(numbers.between(-200, 200));
    return precise(numbers.between(1, 2) * size) * precise(numbers.between(1, 2));
  };
  for (int i = 0; i < 5000; ++i) {
    const auto a = some_number(), b = some_number(), c = some_number();
    check_near(a / b * b, a, tolerance);
    check_near((a + b) * (a - b) + b * b, a * a,
               tolerance * (1 + std::pow(rounded(b) / rounded(a), 2)));
    check_near(a * (b + c), a * b + a * c, tolerance);
    check_near(sqrt(a) * sqrt(a), a, tolerance);
    check(is_normalized(a * b) && is_normalized(a / b) && is_normalized(a + b));
  }
}

// Lanes are as single numbers, and their sum is that of all.
void check_lanes() {
  using P = Pack<double, native_lanes<double>>;
  Numbers numbers(8);
  for (int repeat = 0; repeat < 200; ++repeat) {
    DoubleDouble<P> a, b;
    Whole expected = 0;
    for (int i = 0; i < P::lanes; ++i) {
      const Whole p = some_whole(numbers, 56), q = some_whole(numbers, 56);
      const auto x = of_whole(p), y = of_whole(q);
      a.high.set_lane(i, x.high.lane(0));
      a.low.set_lane(i, x.low.lane(0));
      b.high.set_lane(i, y.high.lane(0));
      b.low.set_lane(i, y.low.lane(0));
      expected += p;
    }
    check(whole(sum_of_lanes(a)) == expected);
    const auto product = a * b, quotient = a / b, sum = a + b;
    for (int i = 0; i < P::lanes; ++i) {
      const PreciseNumber x(One(a.high.lane(i)), One(a.low.lane(i)));
      const PreciseNumber y(One(b.high.lane(i)), One(b.low.lane(i)));
      check_equal(product.low.lane(i), (x * y).low.lane(0));
      check_equal(quotient.low.lane(i), (x / y).low.lane(0));
      check_equal(sum.low.lane(i), (x + y).low.lane(0));
      check_equal(DoubleDouble<P>::everywhere(x).low.lane(i), x.low.lane(0));
    }
  }
}

}  // namespace

int main() {
  check_whole_numbers();
  check_fractions();
  check_identities();
  check_lanes();
  return status();
}
