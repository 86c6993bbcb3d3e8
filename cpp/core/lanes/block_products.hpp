// Products of one layer with a block of S samples at once, so that an entry of the layer is read
// once for all of them.
//
// An entry of a block is a pack, the number of one sample in each of several runs; X (cols, S)
// holds those of a unit together. Each sum is over the columns in their order.
#pragma once

#include <cstddef>

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

// Calls body(R, first) for blocks of at most most_rows_at_once rows that cover 0 .. rows.
template <class Body>
inline void for_each_row_block(int rows, Body body) {
  constexpr int R = most_rows_at_once;
  int first = 0;
  for (; rows - first >= R; first += R) body(std::integral_constant<int, R>{}, first);
  if (first < rows) {
    with_constant(rows - first, [&](auto rest) {
      if constexpr (decltype(rest)::value < R) body(rest, first);
    });
  }
}

}  // namespace detail

// Calls take(i S + s, Y_is) for Y = M X with M (rows, cols), M_ij = W[i row_stride + j col_stride];
// X (cols, S), Y (rows, S); the entries of X are packs, or numbers that all runs share.
template <class P, class X, class Take>
inline void block_product(int rows, int cols, const P* W, std::ptrdiff_t row_stride,
                          std::ptrdiff_t col_stride, const X* x, Take take) {
  constexpr int S = samples_at_once;
  detail::for_each_row_block(rows, [&](auto block, int first) {
    constexpr int R = decltype(block)::value;
    P sum[R][S];
    for (int r = 0; r < R; ++r) {
      for (int s = 0; s < S; ++s) sum[r][s] = zero<P>();
    }
    const P* w = W + first * row_stride;
    for (int j = 0; j < cols; ++j, w += col_stride) {
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
template <class P, class X>
inline void add_outer_products(int rows, int cols, const P* D, const X* x, P* G) {
  constexpr int S = samples_at_once;
  detail::for_each_row_block(rows, [&](auto block, int first) {
    constexpr int R = decltype(block)::value;
    P d[R][S];
    for (int r = 0; r < R; ++r) {
      for (int s = 0; s < S; ++s) d[r][s] = D[(first + r) * S + s];
    }
    P* g = G + std::ptrdiff_t(first) * cols;
    for (int j = 0; j < cols; ++j) {
      P part[S];
      for (int s = 0; s < S; ++s) part[s] = P(x[j * S + s]);
      for (int r = 0; r < R; ++r) {
        P sum = g[std::ptrdiff_t(r) * cols + j];
        for (int s = 0; s < S; ++s) sum = fma(d[r][s], part[s], sum);
        g[std::ptrdiff_t(r) * cols + j] = sum;
      }
    }
  });
}

}  // namespace deeplinear
