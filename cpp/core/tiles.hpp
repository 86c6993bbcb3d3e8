// Products of one layer W (rows x cols, row by row) with vectors, and its rank-one updates.
//
// A layer is passed in tiles of at most largest_tile columns, whose part of the shorter vector
// stays in registers while the rows go by.
#pragma once

#include <type_traits>

#include "pack.hpp"

namespace deeplinear {

inline constexpr int largest_tile = 8;

// Calls body(C, first) for tiles of C columns (a compile-time constant) that cover 0 .. cols.
template <class Body>
inline void for_each_tile(int cols, Body body) {
  int first = 0;
  for (; cols - first > largest_tile; first += largest_tile) {
    body(std::integral_constant<int, largest_tile>{}, first);
  }
  switch (cols - first) {
    case 1:
      return body(std::integral_constant<int, 1>{}, first);
    case 2:
      return body(std::integral_constant<int, 2>{}, first);
    case 3:
      return body(std::integral_constant<int, 3>{}, first);
    case 4:
      return body(std::integral_constant<int, 4>{}, first);
    case 5:
      return body(std::integral_constant<int, 5>{}, first);
    case 6:
      return body(std::integral_constant<int, 6>{}, first);
    case 7:
      return body(std::integral_constant<int, 7>{}, first);
    default:
      return body(std::integral_constant<int, 8>{}, first);
  }
}

// y = W^T x (add: y += W^T x), x (rows,), y (cols,)
template <class P>
inline void transposed_product(int rows, int cols, const P* W, const P* x, P* y, bool add = false) {
  for_each_tile(cols, [&](auto tile, int first) {
    constexpr int C = decltype(tile)::value;
    P sum[C];
    for (int j = 0; j < C; ++j) sum[j] = add ? y[first + j] : zero<P>();
    const P* row = W + first;
    for (int i = 0; i < rows; ++i, row += cols) {
      for (int j = 0; j < C; ++j) sum[j] = fma(row[j], x[i], sum[j]);
    }
    for (int j = 0; j < C; ++j) y[first + j] = sum[j];
  });
}

// y = W x (add: y += W x), x (cols,), y (rows,)
template <class P>
inline void product(int rows, int cols, const P* W, const P* x, P* y, bool add = false) {
  for_each_tile(cols, [&](auto tile, int first) {
    constexpr int C = decltype(tile)::value;
    P part[C];
    for (int j = 0; j < C; ++j) part[j] = x[first + j];
    const P* row = W + first;
    for (int i = 0; i < rows; ++i, row += cols) {
      P sum = first > 0 || add ? y[i] : zero<P>();
      for (int j = 0; j < C; ++j) sum = fma(row[j], part[j], sum);
      y[i] = sum;
    }
  });
}

// y = W x, then W += (scale u) x^T, in one pass; u, y (rows,), x (cols,)
template <bool Product, class P>
inline void product_and_update(int rows, int cols, P* W, const P* x, P* y, P scale, const P* u) {
  for_each_tile(cols, [&](auto tile, int first) {
    constexpr int C = decltype(tile)::value;
    P part[C];
    for (int j = 0; j < C; ++j) part[j] = x[first + j];
    P* row = W + first;
    for (int i = 0; i < rows; ++i, row += cols) {
      const P factor = scale * u[i];
      P sum = first > 0 && Product ? y[i] : zero<P>();
      for (int j = 0; j < C; ++j) {
        const P old = row[j];
        if constexpr (Product) sum = fma(old, part[j], sum);
        row[j] = fma(factor, part[j], old);
      }
      if constexpr (Product) y[i] = sum;
    }
  });
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
