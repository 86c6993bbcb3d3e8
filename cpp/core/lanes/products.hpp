// Products of one layer W (rows x cols, row by row) with vectors, and its rank-one updates.
//
// A narrow layer is passed row by row, its columns unrolled. A wider one is passed rows_at_once
// rows at a time, each from left to right: as many streams of consecutive memory, as many
// independent sums, and the vector along the columns is read once for all of them. Either way the
// terms of a sum are added in their order. W, x and y are places of numbers (simd/unroll.hpp).
#pragma once

#include "simd/lane.hpp"
#include "simd/unroll.hpp"

namespace deeplinear {

// Where an entry fills a cache line of its own, more than two streams outrun the prefetcher.
template <class P>
inline constexpr int rows_at_once = sizeof(P) < 64 ? 4 : 2;

// Calls body(Constant<R>, first) for blocks of R rows that cover 0 .. rows.
template <class P, class Body>
constexpr void for_each_block(int rows, Body body) {
  constexpr int R = rows_at_once<P>;
  int first = 0;
  for (; rows - first >= R; first += R) body(Constant<R>{}, first);
  if (first < rows) with_constant(rows - first, [&](auto rest) { body(rest, first); });
}

// y = W^T x (add: y += W^T x), x (rows,), y (cols,)
template <class P, class Weights, class X, class Y>
constexpr void transposed_product(int rows, int cols, Weights W, X x, Y y, bool add = false) {
  if (cols <= largest_narrow) {
    return with_constant(cols, [&](auto columns) {
      constexpr int C = decltype(columns)::value;
      P sum[C];
#pragma GCC unroll 8
      for (int j = 0; j < C; ++j) sum[j] = add ? P(y[j]) : zero<P>();
      auto row = W;
      for (int i = 0; i < rows; ++i, row = row + C) {
        const P factor = x[i];
#pragma GCC unroll 8
        for (int j = 0; j < C; ++j) sum[j] = fma(row[j], factor, sum[j]);
      }
#pragma GCC unroll 8
      for (int j = 0; j < C; ++j) y[j] = sum[j];
    });
  }
  for_each_block<P>(rows, [&](auto block, int first) {
    constexpr int R = decltype(block)::value;
    const auto w = W + Index(first) * cols;
    const bool onto = first > 0 || add;
    P factor[R];  // a write to y could change x, for all that the compiler knows
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) factor[r] = x[first + r];
    for (int j = 0; j < cols; ++j) {
      P sum = onto ? P(y[j]) : zero<P>();
#pragma GCC unroll 8
      for (int r = 0; r < R; ++r) sum = fma(w[Index(r) * cols + j], factor[r], sum);
      y[j] = sum;
    }
  });
}

// A pass that moves no weight
struct NoMove {};

template <class Move>
inline constexpr bool moves = true;
template <>
inline constexpr bool moves<NoMove> = false;

// One entry of a pass: the n-th weight, in row and column of factor and xj. It is inlined whatever
// a compiler thinks of its size, which would call it for every entry.
template <bool Product, class P, class Weights, class Factor, class Move>
[[gnu::always_inline]] constexpr void pass_entry(Weights at, [[maybe_unused]] Index n, const P& xj,
                                                 [[maybe_unused]] const Factor& factor,
                                                 [[maybe_unused]] P& sum,
                                                 [[maybe_unused]] const Move& move) {
  const P w = at[0];
  if constexpr (Product) sum = fma(w, xj, sum);
  if constexpr (moves<Move>) at[0] = move(n, w, factor, xj);
}

// With Product, y = W x; and unless Move is NoMove, the same pass moves the weights by a gradient
// u x^T, see rules/rule.hpp; x (cols,), y and u (rows,); W begins at the weight `start`.
template <bool Product, class P, class Weights, class X, class Y, class Move, class U>
constexpr void pass(int rows, int cols, Weights W, Index start, X x, Y y, Move move, U u) {
  const auto factor_of = [&]([[maybe_unused]] int i) {
    if constexpr (moves<Move>) {
      return move.row(P(u[i]));
    } else {
      return NoMove{};
    }
  };
  if (cols <= largest_narrow) {
    return with_constant(cols, [&](auto columns) {
      constexpr int C = decltype(columns)::value;
      P part[C];
#pragma GCC unroll 8
      for (int j = 0; j < C; ++j) part[j] = x[j];
      auto row = W;
      Index n = start;
      for (int i = 0; i < rows; ++i, row = row + C, n += C) {
        P sum = zero<P>();
        const auto factor = factor_of(i);
#pragma GCC unroll 8
        for (int j = 0; j < C; ++j) pass_entry<Product>(row + j, n + j, part[j], factor, sum, move);
        if constexpr (Product) y[i] = sum;
      }
    });
  }
  for_each_block<P>(rows, [&](auto block, int first) {
    constexpr int R = decltype(block)::value;
    const Index offset = Index(first) * cols;
    const auto w = W + offset;
    P sum[R];
    decltype(factor_of(0)) factor[R];
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) {
      sum[r] = zero<P>();
      factor[r] = factor_of(first + r);
    }
    for (int j = 0; j < cols; ++j) {
      const P xj = x[j];
#pragma GCC unroll 8
      for (int r = 0; r < R; ++r) {
        const Index n = Index(r) * cols + j;
        pass_entry<Product>(w + n, start + offset + n, xj, factor[r], sum[r], move);
      }
    }
    if constexpr (Product) {
#pragma GCC unroll 8
      for (int r = 0; r < R; ++r) y[first + r] = sum[r];
    }
  });
}

// y = W x
template <class P, class Weights, class X, class Y>
constexpr void product(int rows, int cols, Weights W, X x, Y y) {
  pass<true, P>(rows, cols, W, 0, x, y, NoMove{}, x);
}

}  // namespace deeplinear
