// Sums of products of matrices in panels.
//
// Some rows of a panel stay in registers while their sum goes on, from row to row of the right
// factors. Every entry is summed in that order.
#pragma once

#include "blocks/panels.hpp"
#include "simd/unroll.hpp"

namespace deeplinear {

// A X: row i of A (n, depth) times X (depth, cols)
template <class Scalar>
struct RowProduct {
  PanelRows<Scalar> A, X;

  // Calls body(k, count, left, row, step) for ranges k .. k + count - 1 of the sum over k, in
  // order: the number of row i + r is left[r row + (l - k) step] at l.
  template <class Body>
  [[gnu::always_inline]] void for_each_range(int i, Body body) const {
    const int depth = A.shape.cols;
    for (int k = 0; k < depth; k += panel_width<Scalar>) {
      body(k, std::min(panel_width<Scalar>, depth - k), A.at(i, k), A.shape.width(k), 1);
    }
  }
};

// D^T X of so many samples: column i of D (samples, rows) times X (samples, cols)
template <class Scalar>
struct ColumnProduct {
  int samples;
  PanelRows<Scalar> D, X;

  template <class Body>
  [[gnu::always_inline]] void for_each_range(int i, Body body) const {
    body(0, samples, D.at(0, i), 1, D.shape.width(i));
  }
};

namespace detail {

// R rows by C registers of columns. The loops over them are unrolled before the compiler looks at
// their arrays, and a call would put those into memory: so they are registers.
template <int R, int C, class Scalar, class Product>
[[gnu::always_inline]] inline void add_product(const Product& product, int i, int j,
                                               Register<Scalar> (&sum)[R][C]) {
  using P = Register<Scalar>;
  product.for_each_range(i, [&](int k, int count, const Scalar* left, std::ptrdiff_t row,
                                std::ptrdiff_t step) __attribute__((always_inline)) {
    const Scalar* right = product.X.at(k, j);
    for (int l = 0; l < count; ++l, left += step, right += C * P::lanes) {
      P x[C];
#pragma GCC unroll 8
      for (int c = 0; c < C; ++c) {
        x[c] = read_register(right + c * P::lanes);
        // Of a panel that fills more than the first-level cache, the processor fetches too late.
        __builtin_prefetch(right + (8 * C + c) * P::lanes);
      }
#pragma GCC unroll 8
      for (int r = 0; r < R; ++r) {
        const P factor(left[r * row]);
#pragma GCC unroll 8
        for (int c = 0; c < C; ++c) sum[r][c] = fma(factor, x[c], sum[r][c]);
      }
    }
  });
}

template <int R, int C, class Scalar, class Start, class Take, class... Products>
inline void multiply_rows(int i, int j, std::ptrdiff_t at, const Start& start, const Take& take,
                          const Products&... products) {
  using P = Register<Scalar>;
  constexpr std::ptrdiff_t lanes = P::lanes;
  P sum[R][C];
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r) {
#pragma GCC unroll 8
    for (int c = 0; c < C; ++c) sum[r][c] = start(at + (r * C + c) * lanes, zero<P>());
  }
  (add_product(products, i, j, sum), ...);
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r) {
#pragma GCC unroll 8
    for (int c = 0; c < C; ++c) take(at + (r * C + c) * lanes, sum[r][c]);
  }
}

template <int C, class Scalar, class Start, class Take, class... Products>
inline void multiply_panel(int first, int last, int j, std::ptrdiff_t at, const Start& start,
                           const Take& take, const Products&... products) {
  constexpr int R = rows_in_registers;
  constexpr std::ptrdiff_t width = C * native_lanes<Scalar>;
  int i = first;
  for (; last - i >= R; i += R, at += R * width) {
    multiply_rows<R, C, Scalar>(i, j, at, start, take, products...);
  }
  if (i == last) return;
  with_constant(last - i, [&](auto rest) {
    constexpr int left = decltype(rest)::value;
    if constexpr (left < R) multiply_rows<left, C, Scalar>(i, j, at, start, take, products...);
  });
}

}  // namespace detail

// Calls take(at, y) for the registers of rows first .. last - 1 of Y = start + the sum of the
// products, where `at` is their place among the numbers of a matrix of that shape; start(at, none)
// gives what to go on from, or none, which are zeros. first is a multiple of rows_in_registers.
template <class Scalar, class Start, class Take, class... Products>
inline void multiply(int first, int last, const PanelShape<Scalar>& shape, const Start& start,
                     const Take& take, const Products&... products) {
  for (int j = 0; j < shape.cols; j += panel_width<Scalar>) {
    with_constant(shape.width(j) / native_lanes<Scalar>, [&](auto registers) {
      constexpr int C = decltype(registers)::value;
      if constexpr (C <= registers_in_panel<Scalar>) {
        detail::multiply_panel<C, Scalar>(first, last, j, shape.place(first, j), start, take,
                                          products...);
      }
    });
  }
}

// The start of a sum of products alone
struct FromZero {
  template <class P>
  constexpr P operator()(std::ptrdiff_t, const P& none) const {
    return none;
  }
};

}  // namespace deeplinear
