// Products of one layer W (rows x cols, row by row) with vectors, and its rank-one updates.
//
// A narrow layer is passed row by row, its columns unrolled. A wider one is passed rows_at_once
// rows at a time, each from left to right: as many streams of consecutive memory, as many
// independent sums, and the vector along the columns is read once for all of them. Either way the
// terms of a sum are added in their order.
#pragma once

#include <cstddef>
#include <type_traits>

#include "simd/pack.hpp"
#include "simd/unroll.hpp"

namespace deeplinear {

// Where an entry fills a cache line of its own, more than two streams outrun the prefetcher.
template <class P>
inline constexpr int rows_at_once = sizeof(P) < 64 ? 4 : 2;

// Calls body(R, first) for blocks of R rows (a compile-time constant) that cover 0 .. rows.
template <class P, class Body>
inline void for_each_block(int rows, Body body) {
  constexpr int R = rows_at_once<P>;
  int first = 0;
  for (; rows - first >= R; first += R) body(std::integral_constant<int, R>{}, first);
  if (first < rows) with_constant(rows - first, [&](auto rest) { body(rest, first); });
}

// y = W^T x (add: y += W^T x), x (rows,), y (cols,)
template <class P>
inline void transposed_product(int rows, int cols, const P* W, const P* x, P* y, bool add = false) {
  if (cols <= largest_narrow) {
    return with_constant(cols, [&](auto columns) {
      constexpr int C = decltype(columns)::value;
      P sum[C];
      for (int j = 0; j < C; ++j) sum[j] = add ? y[j] : zero<P>();
      const P* row = W;
      for (int i = 0; i < rows; ++i, row += C) {
        for (int j = 0; j < C; ++j) sum[j] = fma(row[j], x[i], sum[j]);
      }
      for (int j = 0; j < C; ++j) y[j] = sum[j];
    });
  }
  for_each_block<P>(rows, [&](auto block, int first) {
    constexpr int R = decltype(block)::value;
    const P* w = W + std::ptrdiff_t(first) * cols;
    const bool onto = first > 0 || add;
    P factor[R];  // a write to y could change x, for all that the compiler knows
    for (int r = 0; r < R; ++r) factor[r] = x[first + r];
    for (int j = 0; j < cols; ++j) {
      P sum = onto ? y[j] : zero<P>();
      for (int r = 0; r < R; ++r) sum = fma(w[std::ptrdiff_t(r) * cols + j], factor[r], sum);
      y[j] = sum;
    }
  });
}

// A pass that moves no weight
struct NoMove {};

// With Product, y = W x (add: y += W x); and unless Move is NoMove, the same pass moves the weights
// by a gradient u x^T, see rules/rule.hpp; x (cols,), y and u (rows,)
template <bool Product, class Move, class Number, class P>
inline void pass(int rows, int cols, Number* W, const P* x, P* y, bool add, Move move,
                 const P* u = nullptr) {
  constexpr bool moves = !std::is_same_v<Move, NoMove>;
  const auto factor_of = [&]([[maybe_unused]] int i) {
    if constexpr (moves) {
      return move.row(u[i]);
    } else {
      return NoMove{};
    }
  };
  const auto entry = [&move](Number& w, const P& xj, [[maybe_unused]] const auto& factor, P& sum) {
    if constexpr (Product) sum = fma(w, xj, sum);
    if constexpr (moves) move(w, factor, xj);
  };
  if (cols <= largest_narrow) {
    return with_constant(cols, [&](auto columns) {
      constexpr int C = decltype(columns)::value;
      P part[C];
      for (int j = 0; j < C; ++j) part[j] = x[j];
      auto* row = W;
      for (int i = 0; i < rows; ++i, row += C) {
        P sum = add ? y[i] : zero<P>();
        const auto factor = factor_of(i);
        for (int j = 0; j < C; ++j) entry(row[j], part[j], factor, sum);
        if constexpr (Product) y[i] = sum;
      }
    });
  }
  for_each_block<P>(rows, [&](auto block, int first) {
    constexpr int R = decltype(block)::value;
    auto* w = W + std::ptrdiff_t(first) * cols;
    P sum[R];
    decltype(factor_of(0)) factor[R];
    for (int r = 0; r < R; ++r) {
      sum[r] = add ? y[first + r] : zero<P>();
      factor[r] = factor_of(first + r);
    }
    for (int j = 0; j < cols; ++j) {
      const P xj = x[j];
      for (int r = 0; r < R; ++r) entry(w[std::ptrdiff_t(r) * cols + j], xj, factor[r], sum[r]);
    }
    if constexpr (Product) {
      for (int r = 0; r < R; ++r) y[first + r] = sum[r];
    }
  });
}

template <class P>
inline void product(int rows, int cols, const P* W, const P* x, P* y, bool add = false) {
  pass<true>(rows, cols, W, x, y, add, NoMove{});
}

}  // namespace deeplinear
