// Packs of every width against the scalar operations, lane by lane and to the bit.
#include "simd/pack.hpp"

#include <limits>
#include <vector>

#include "check.hpp"
#include "simd/aligned_array.hpp"
#include "simd/unroll.hpp"

namespace {

using namespace deeplinear;
using namespace deeplinear::tests;

template <class Scalar>
using Limits = std::numeric_limits<Scalar>;

// Ordinary numbers, and those at the ends of the range
template <class Scalar>
Scalar some_number(Numbers& numbers) {
  const Scalar special[] = {Scalar(0),
                            -Scalar(0),
                            Limits<Scalar>::infinity(),
                            -Limits<Scalar>::infinity(),
                            Limits<Scalar>::quiet_NaN(),
                            Limits<Scalar>::max(),
                            Limits<Scalar>::min()};
  const int place = numbers.below(4 * int(std::size(special)));
  return place < int(std::size(special)) ? special[place] : Scalar(numbers.between(-3, 3));
}

template <class P>
P some_pack(Numbers& numbers) {
  P pack;
  for (int i = 0; i < P::lanes; ++i) pack.set_lane(i, some_number<typename P::Scalar>(numbers));
  return pack;
}

template <class Scalar>
Scalar scalar_fma(Scalar a, Scalar b, Scalar c) {
#if defined(__FMA__) || defined(__aarch64__)
  return std::fma(a, b, c);
#else
  return a * b + c;
#endif
}

template <class P>
void check_operations(unsigned seed) {
  using Scalar = typename P::Scalar;
  Numbers numbers(seed);
  for (int repeat = 0; repeat < 100; ++repeat) {
    const P a = some_pack<P>(numbers), b = some_pack<P>(numbers), c = some_pack<P>(numbers);
    const Scalar bound = Scalar(numbers.between(-2, 2));
    const Mask<P> less = a < b, at_most_b = a <= b, of_c = c < b;
    const P one(Scalar(1)), none = zero<P>();
    const auto truth = [&](const Mask<P>& mask, int i) {
      return select(mask, one, none).lane(i) != 0;
    };
    bool some = false;
    for (int i = 0; i < P::lanes; ++i) {
      const Scalar x = a.lane(i), y = b.lane(i), z = c.lane(i);
      check_equal((a + b).lane(i), x + y);
      check_equal((a - b).lane(i), x - y);
      check_equal((a * b).lane(i), x * y);
      check_equal((a / b).lane(i), x / y);
      check_equal(fma(a, b, c).lane(i), scalar_fma(x, y, z));
      check_equal(select(less, b, c).lane(i), x < y ? y : z);
      check_equal(maximum(a, b).lane(i), x < y ? y : x);
      check_equal(at_least(a, bound).lane(i), x < bound ? bound : x);
      check_equal(at_most(a, bound).lane(i), bound < x ? bound : x);
      check(truth(less, i) == (x < y));
      check(truth(at_most_b, i) == (x <= y));
      check(truth(!less, i) == !(x < y));
      check(truth(less & of_c, i) == (x < y && z < y));
      check(truth(less | of_c, i) == (x < y || z < y));
      check(truth(finite(a), i) == std::isfinite(x));
      some = some || x < y;
    }
    check(any(less) == some);
  }
}

// Each lane alone is seen, and what has none is not.
template <class P>
void check_any() {
  using Scalar = typename P::Scalar;
  check(!any(zero<P>() < zero<P>()));
  for (int i = 0; i < P::lanes; ++i) {
    P one_lane = zero<P>();
    one_lane.set_lane(i, Scalar(1));
    check(any(zero<P>() < one_lane));
    one_lane.set_lane(i, Limits<Scalar>::quiet_NaN());
    check(any(!finite(one_lane)) && !any(zero<P>() < one_lane));
  }
}

template <class P>
void check_everywhere() {
  const P five(typename P::Scalar(5));
  for (int i = 0; i < P::lanes; ++i) check_equal(five.lane(i), 5);
}

// sum_i x_i y_i and y + a x, one after another
template <class P>
void check_sums(unsigned seed) {
  using Scalar = typename P::Scalar;
  Numbers numbers(seed);
  for (int n = 0; n < 12; ++n) {
    std::vector<P, ArrayAllocator<P>> x, y;
    for (int i = 0; i < n; ++i) {
      x.push_back(some_pack<P>(numbers));
      y.push_back(some_pack<P>(numbers));
    }
    const P a = some_pack<P>(numbers), sum = dot<P>(n, x.data(), y.data());
    auto moved = y;
    add_multiple(n, a, x.data(), moved.data());
    for (int lane = 0; lane < P::lanes; ++lane) {
      Scalar expected = 0;
      for (int i = 0; i < n; ++i) {
        expected = scalar_fma(x[i].lane(lane), y[i].lane(lane), expected);
        check_equal(moved[i].lane(lane),
                    scalar_fma(a.lane(lane), x[i].lane(lane), y[i].lane(lane)));
      }
      check_equal(sum.lane(lane), expected);
    }
  }
}

template <class P>
void check_pack() {
  check_everywhere<P>();
  check_operations<P>(1);
  check_any<P>();
  check_sums<P>(2);
}

template <class Scalar>
void check_packs() {
  constexpr int lanes = native_lanes<Scalar>;
  check_pack<Pack<Scalar, 1>>();
  // Half a register, where the level has registers of that size
  using Half = typename Eigen::internal::unpacket_traits<detail::NativeRegister<Scalar>>::half;
  if constexpr (lanes > 2 && 2 * sizeof(Half) == sizeof(detail::NativeRegister<Scalar>)) {
    check_pack<Pack<Scalar, lanes / 2>>();
  }
  check_pack<Pack<Scalar, lanes>>();
  check_pack<Pack<Scalar, 2 * lanes>>();
  check_pack<Pack<Scalar, 4 * lanes>>();
}

void check_constants() {
  for (int n = 1; n <= largest_narrow; ++n) {
    int called = 0;
    with_constant(n, [&](auto constant) {
      ++called;
      check(decltype(constant)::value == n);
    });
    check(called == 1);
  }
}

void check_alignment() {
  for (const std::size_t count : {1, 3, 1000, 1 << 20}) {
    const AlignedVector<double> array(count, 1.0);
    check(reinterpret_cast<std::uintptr_t>(array.data()) % EIGEN_DEFAULT_ALIGN_BYTES == 0);
  }
}

}  // namespace

int main() {
  check_packs<double>();
  check_packs<float>();
  check_constants();
  check_alignment();
  return status();
}
