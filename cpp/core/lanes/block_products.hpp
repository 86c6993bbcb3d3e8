// Products of one layer with a block of S samples at once, so that an entry of the layer is read
// once for all of them.
//
// An entry of a block is a pack, the number of one sample in each of several runs; X (cols, S)
// holds those of a unit together. Each sum is over the columns in their order.
#pragma once

#include "lanes/products.hpp"

namespace deeplinear {

inline constexpr int samples_at_once = 4;

// The sums of a block of rows, an entry of X for every sample and one of the layer are in registers
// together.
#if defined(__AVX512F__) || defined(__aarch64__)
inline constexpr int most_rows_at_once = 5;
#else
inline constexpr int most_rows_at_once = 3;
#endif

namespace detail {

// Calls body(Constant<R>, first) for blocks of at most most_rows_at_once rows that cover 0 .. rows.
template <class Body>
constexpr void for_each_row_block(int rows, Body body) {
  constexpr int R = most_rows_at_once;
  int first = 0;
  for (; rows - first >= R; first += R) body(Constant<R>{}, first);
  if (first < rows) {
    with_constant(rows - first, [&](auto rest) {
      constexpr int left = decltype(rest)::value;
      if constexpr (left < R) body(rest, first);
    });
  }
}

}  // namespace detail

// Calls take(i S + s, Y_is) for Y = M X with M (rows, cols), M_ij = W[i row_stride + j col_stride];
// X (cols, S), Y (rows, S); the entries of X are packs, or numbers that all runs share.
template <class P, class Weights, class X, class Take>
constexpr void block_product(int rows, int cols, Weights W, Index row_stride, Index col_stride, X x,
                             Take take) {
  constexpr int S = samples_at_once;
  detail::for_each_row_block(rows, [&](auto block, int first) {
    constexpr int R = decltype(block)::value;
    P sum[R][S];
    for (int r = 0; r < R; ++r) {
      for (int s = 0; s < S; ++s) sum[r][s] = zero<P>();
    }
    Weights w = W + first * row_stride;
    for (int j = 0; j < cols; ++j, w = w + col_stride) {
      P part[S];
      for (int s = 0; s < S; ++s) part[s] = P(x[j * S + s]);
      for (int r = 0; r < R; ++r) {
        for (int s = 0; s < S; ++s) sum[r][s] = fma(w[r * row_stride], part[s], sum[r][s]);
      }
    }
    for (int r = 0; r < R; ++r) {
      for (int s = 0; s < S; ++s) take((first + r) * S + s, sum[r][s]);
    }
  });
}

// G += D X^T, D (rows, S), X (cols, S), G (rows, cols) row by row
template <class P, class Deltas, class X, class Gradient>
constexpr void add_outer_products(int rows, int cols, Deltas D, X x, Gradient G) {
  constexpr int S = samples_at_once;
  detail::for_each_row_block(rows, [&](auto block, int first) {
    constexpr int R = decltype(block)::value;
    P d[R][S];
    for (int r = 0; r < R; ++r) {
      for (int s = 0; s < S; ++s) d[r][s] = D[(first + r) * S + s];
    }
    const Gradient g = G + Index(first) * cols;
    for (int j = 0; j < cols; ++j) {
      P part[S];
      for (int s = 0; s < S; ++s) part[s] = P(x[j * S + s]);
      for (int r = 0; r < R; ++r) {
        P sum = g[Index(r) * cols + j];
        for (int s = 0; s < S; ++s) sum = fma(d[r][s], part[s], sum);
        g[Index(r) * cols + j] = sum;
      }
    }
  });
}

}  // namespace deeplinear
