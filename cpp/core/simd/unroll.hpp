// Loops over few entries with a count that is known when they are compiled, and sums over vectors
// of packs.
#pragma once

#include <type_traits>

#include "simd/pack.hpp"

namespace deeplinear {

inline constexpr int largest_narrow = 8;

// Calls body(N) with n as a compile-time constant, 1 <= n <= largest_narrow.
template <class Body>
inline void with_constant(int n, Body body) {
  static_assert(largest_narrow == 8);
  switch (n) {
    case 1:
      return body(std::integral_constant<int, 1>{});
    case 2:
      return body(std::integral_constant<int, 2>{});
    case 3:
      return body(std::integral_constant<int, 3>{});
    case 4:
      return body(std::integral_constant<int, 4>{});
    case 5:
      return body(std::integral_constant<int, 5>{});
    case 6:
      return body(std::integral_constant<int, 6>{});
    case 7:
      return body(std::integral_constant<int, 7>{});
    default:
      return body(std::integral_constant<int, 8>{});
  }
}

// The sum of x_i y_i, i < n
template <class P>
inline P dot(int n, const P* x, const P* y) {
  P sum = zero<P>();
  for (int i = 0; i < n; ++i) sum = fma(x[i], y[i], sum);
  return sum;
}

// y += a x
template <class P>
inline void add_multiple(int n, P a, const P* x, P* y) {
  for (int i = 0; i < n; ++i) y[i] = fma(a, x[i], y[i]);
}

}  // namespace deeplinear
