// Loops over few entries with a count that is known when they are compiled, and sums over vectors
// of packs.
#pragma once

#include "simd/lane.hpp"

namespace deeplinear {

// A number that is known when code is compiled, as an argument
template <int N>
struct Constant {
  static constexpr int value = N;
};

inline constexpr int largest_narrow = 8;

// Calls body(Constant<n>), 1 <= n <= largest_narrow. It is inlined whatever a compiler thinks of
// its size: a call for every layer, with all that body refers to in memory, takes a fifth of a
// step.
template <class Body>
[[gnu::always_inline]] constexpr void with_constant(int n, Body body) {
  static_assert(largest_narrow == 8);
  switch (n) {
    case 1:
      return body(Constant<1>{});
    case 2:
      return body(Constant<2>{});
    case 3:
      return body(Constant<3>{});
    case 4:
      return body(Constant<4>{});
    case 5:
      return body(Constant<5>{});
    case 6:
      return body(Constant<6>{});
    case 7:
      return body(Constant<7>{});
    default:
      return body(Constant<8>{});
  }
}

// Where numbers lie in memory is anything that gives a reference by [n], and the place n further by
// + n: a pointer, or a column of a matrix.

// The sum of x_i y_i, i < n
template <class P, class X, class Y>
constexpr P dot(int n, X x, Y y) {
  P sum = zero<P>();
  for (int i = 0; i < n; ++i) sum = fma(x[i], y[i], sum);
  return sum;
}

// y += a x
template <class P, class X, class Y>
constexpr void add_multiple(int n, P a, X x, Y y) {
  for (int i = 0; i < n; ++i) y[i] = fma(a, x[i], y[i]);
}

}  // namespace deeplinear
