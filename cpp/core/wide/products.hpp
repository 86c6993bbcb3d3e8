// Products of a layer W (rows x cols) of one run with vectors, SIMD along the columns.
//
// Each works on some rows of the layer, so that threads can share it, and reads them once, as
// streams side by side. A product W x has the same bits whatever rows it is asked for; of W^T x the
// rows are added up in an order that depends on which they are.
#pragma once

#include <cstddef>
#include <type_traits>

#include <Eigen/Core>

#include "lanes/products.hpp"
#include "model/dyads.hpp"
#include "simd/pack.hpp"
#include "wide/streams.hpp"

namespace deeplinear {

// What a row's update computes beside: its product with x after all dyads, or before the last of
// them; or its product and its squared norm after all
enum class Beside { product, product_before_last, product_and_square };

namespace detail {

template <class Scalar>
using Vector = Pack<Scalar, native_lanes<Scalar>>;

template <class V>
inline V load(const typename V::Scalar* from) {
  V v;
  if constexpr (V::lanes == 1) {
    v.part[0] = *from;
  } else {
    v.part[0] = Eigen::internal::ploadu<typename V::Register>(from);
  }
  return v;
}
template <class V>
inline void store(typename V::Scalar* to, const V& v) {
  if constexpr (V::lanes == 1) {
    *to = v.part[0];
  } else {
    Eigen::internal::pstoreu(to, v.part[0]);
  }
}

// The sum of the lanes, and of what was left
template <class V, class One>
inline typename V::Scalar total(const V& sum, const One& rest) {
  if constexpr (V::lanes == 1) {
    return sum.part[0] + rest.part[0];
  } else {
    return Eigen::internal::predux(sum.part[0]) + rest.part[0];
  }
}

// y^r += sum_s c_rs a^rs on first .. last, one term after another; R vectors y of S terms each
template <int R, int S, class Scalar>
inline void add_combinations(int first, int last, const Scalar* const (&a)[R][S],
                             const Scalar (&c)[R][S], Scalar* const* y) {
  using V = Vector<Scalar>;
  using One = Pack<Scalar, 1>;
  const Scalar* term[R][S];
  Scalar* sum[R];
  V factor[R][S];
  for (int r = 0; r < R; ++r) {
    sum[r] = y[r];
    for (int s = 0; s < S; ++s) {
      term[r][s] = a[r][s];
      factor[r][s] = V(c[r][s]);
    }
  }
  // All is read before anything is written: a read at a multiple of 4 KB from a write waits for it.
  const auto add = [&]<class Q>(int j, const Q(&by)[R][S]) __attribute__((always_inline)) {
    Q entry[R];
    for (int r = 0; r < R; ++r) {
      entry[r] = load<Q>(sum[r] + j);
      for (int s = 0; s < S; ++s) entry[r] = fma(load<Q>(term[r][s] + j), by[r][s], entry[r]);
    }
    for (int r = 0; r < R; ++r) store(sum[r] + j, entry[r]);
  };
  int j = first;
  for (; j + V::lanes <= last; j += V::lanes) add(j, factor);
  One number[R][S];
  for (int r = 0; r < R; ++r) {
    for (int s = 0; s < S; ++s) number[r][s] = One(c[r][s]);
  }
  for (; j < last; ++j) add(j, number);
}

// y = sum_s c_s (a^s + b^s) on first .. first + N, one after another, where b^s may be null; N
// lanes in registers of V
template <class V, int N, class Scalar>
inline void set_block(int first, int count, const Scalar* c, const Scalar* const* a,
                      const Scalar* const* b, Scalar* y) {
  V sum[N];
  for (int i = 0; i < N; ++i) sum[i] = zero<V>();
  for (int s = 0; s < count; ++s) {
    const V factor(c[s]);
    V term[N];
    for (int i = 0; i < N; ++i) term[i] = load<V>(a[s] + first + i * V::lanes);
    for (int i = 0; b[s] && i < N; ++i) {
      term[i] = term[i] + load<V>(b[s] + first + i * V::lanes);
    }
    for (int i = 0; i < N; ++i) sum[i] = fma(term[i], factor, sum[i]);
  }
  for (int i = 0; i < N; ++i) store(y + first + i * V::lanes, sum[i]);
}

// R sums over 0 .. n at a time, in this order: vectors, in turn to an even and an odd sum of their
// own, then what is left, number by number. add(j, sum) adds the numbers from j on to sum (R,), as
// many as its elements have lanes. The sums stay in registers only if all of it is inlined.
template <int R, class Scalar, class Add>
__attribute__((always_inline)) inline void sum_over(int n, const Add& add, Scalar* out) {
  using V = Vector<Scalar>;
  using One = Pack<Scalar, 1>;
  constexpr int L = V::lanes;
  V even[R], odd[R];
  One rest[R];
  for (int r = 0; r < R; ++r) {
    even[r] = odd[r] = zero<V>();
    rest[r] = zero<One>();
  }
  int j = 0;
  for (; j + 2 * L <= n; j += 2 * L) {
    add(j, even);
    add(j + L, odd);
  }
  if (j + L <= n) {
    add(j, even);
    j += L;
  }
  for (; j < n; ++j) add(j, rest);
  for (int r = 0; r < R; ++r) out[r] = total(even[r] + odd[r], rest[r]);
}

// out_r = a^r . x; a^r and x (n,), R of them
template <int R, class Scalar>
inline void dots(int n, const Scalar* const* a, const Scalar* x, Scalar* out) {
  const Scalar* row[R];
  for (int r = 0; r < R; ++r) row[r] = a[r];
  const auto add = [&]<class Q>(int j, Q* sum) __attribute__((always_inline)) {
    const Q xj = load<Q>(x + j);
    for (int r = 0; r < R; ++r) sum[r] = fma(load<Q>(row[r] + j), xj, sum[r]);
  };
  sum_over<R>(n, add, out);
}

// w^r += sum_s c_rs a^s, R rows and S terms; and out_r = w^r . x, out_{R+r} = |w^r|^2 if asked for,
// to the bit as of dots; w^r, a^s and x (n,)
template <int R, int S, Beside beside, class Scalar>
inline void fold(int n, Scalar* const* w, const Scalar (&c)[R][S], const Scalar* const* a,
                 const Scalar* x, Scalar* out) {
  using V = Vector<Scalar>;
  Scalar* row[R];
  const Scalar* term[S];
  V factor[R][S];
  for (int s = 0; s < S; ++s) term[s] = a[s];
  for (int r = 0; r < R; ++r) {
    row[r] = w[r];
    for (int s = 0; s < S; ++s) factor[r][s] = V(c[r][s]);
  }
  // Read before written, as above
  const auto add = [&]<class Q>(int j, Q* sum) __attribute__((always_inline)) {
    const Q xj = load<Q>(x + j);
    Q entry[R];
    for (int r = 0; r < R; ++r) entry[r] = load<Q>(row[r] + j);
    const auto multiply = [&] {
      for (int r = 0; r < R; ++r) sum[r] = fma(entry[r], xj, sum[r]);
    };
    for (int s = 0; s < S; ++s) {
      if (beside == Beside::product_before_last && s == S - 1) multiply();
      const Q t = load<Q>(term[s] + j);
      for (int r = 0; r < R; ++r) {
        if constexpr (Q::lanes == V::lanes) {
          entry[r] = fma(factor[r][s], t, entry[r]);
        } else {
          entry[r] = fma(Q(c[r][s]), t, entry[r]);
        }
      }
    }
    if (beside != Beside::product_before_last) multiply();
    for (int r = 0; r < R; ++r) {
      if constexpr (beside == Beside::product_and_square) {
        sum[R + r] = fma(entry[r], entry[r], sum[R + r]);
      }
      store(row[r] + j, entry[r]);
    }
  };
  sum_over<beside == Beside::product_and_square ? 2 * R : R>(n, add, out);
}

// Calls body(R, first) for blocks of at most R rows of first .. last, the last of them shorter.
template <int R, class Body>
inline void for_each_block_of(int first, int last, Body body) {
  for (; last - first >= R; first += R) body(Constant<R>{}, first);
  if (first < last) {
    with_constant(last - first, [&](auto rest) {
      constexpr int left = decltype(rest)::value;
      if constexpr (left < R) body(rest, first);
    });
  }
}

// Calls body(row, index) for the rows of R streams, one of each at a time; row (R,) points to them
// in memory, index (R,) are their numbers in the layer. The last stream may have more than the
// others have.
template <int R, class Number, class Body>
inline void for_each_row(const Stream<Number> (&streams)[R], int cols, const Upcoming& next,
                         Body body) {
  Number* row[R];
  int index[R];
  for (int r = 0; r < R; ++r) {
    row[r] = streams[r].W;
    index[r] = streams[r].first;
  }
  const int common = streams[0].count;
  for (int i = 0; i < common; ++i) {
    if (i == common - 1) next.fetch();
    body(row, index);
    for (int r = 0; r < R; ++r) {
      row[r] += cols;
      ++index[r];
    }
  }
  for (int i = common; i < streams[R - 1].count; ++i) {
    Number* last_row[1] = {row[R - 1]};
    int last_index[1] = {index[R - 1]};
    body(last_row, last_index);
    row[R - 1] += cols;
    ++index[R - 1];
  }
}

}  // namespace detail

// y += sum_s c_s a^s on first .. last, for any number of them
template <class Scalar>
inline void add_multiples(int count, int first, int last, const Scalar* c, const Scalar* const* a,
                          Scalar* y) {
  detail::for_each_block_of<largest_narrow>(0, count, [&](auto block, int from) {
    constexpr int S = decltype(block)::value;
    const Scalar* term[1][S];
    Scalar factor[1][S];
    for (int s = 0; s < S; ++s) {
      term[0][s] = a[from + s];
      factor[0][s] = c[from + s];
    }
    detail::add_combinations(first, last, term, factor, &y);
  });
}

// y = sum_s c_s (a^s + b^s) on first .. last, for any number of them; b^s may be null
template <class Scalar>
inline void set_to_combination(int count, int first, int last, const Scalar* c,
                               const Scalar* const* a, const Scalar* const* b, Scalar* y) {
  using V = detail::Vector<Scalar>;
  for (; first + 4 * V::lanes <= last; first += 4 * V::lanes) {
    detail::set_block<V, 4>(first, count, c, a, b, y);
  }
  for (; first + V::lanes <= last; first += V::lanes) {
    detail::set_block<V, 1>(first, count, c, a, b, y);
  }
  for (; first < last; ++first) detail::set_block<Pack<Scalar, 1>, 1>(first, count, c, a, b, y);
}

// out_s = a^s . x for any number of them
template <class Scalar>
inline void wide_dots(int count, int n, const Scalar* const* a, const Scalar* x, Scalar* out) {
  detail::for_each_block_of<4>(0, count, [&](auto block, int s) {
    detail::dots<decltype(block)::value>(n, a + s, x, out + s);
  });
}

template <class Scalar>
inline Scalar wide_dot(int n, const Scalar* x, const Scalar* y) {
  Scalar sum;
  detail::dots<1>(n, &x, y, &sum);
  return sum;
}

// y^r += W^T x of the S streams of slab r alone, x (rows,), y^r (cols,); R slabs. All streams have
// the same number of rows but for the last of a slab, which may have more. Within a caller the
// inner loop would lack registers.
template <int R, int S, class Scalar>
__attribute__((noinline)) void add_transposed_slabs(int cols,
                                                    const Stream<const Scalar> (&slab)[R][S],
                                                    const Scalar* x, Scalar* const* y,
                                                    const Upcoming& next = {}) {
  const int common = slab[0][0].count;
  const Scalar* row[R][S];
  const Scalar* factor[R][S];
  for (int r = 0; r < R; ++r) {
    for (int s = 0; s < S; ++s) {
      row[r][s] = slab[r][s].W - cols;
      factor[r][s] = x + slab[r][s].first;
    }
  }
  for (int i = 0; i < common; ++i) {
    if (i == common - 1) next.fetch();
    Scalar c[R][S];
    for (int r = 0; r < R; ++r) {
      for (int s = 0; s < S; ++s) {
        c[r][s] = factor[r][s][i];
        row[r][s] += cols;
      }
    }
    detail::add_combinations(0, cols, row, c, y);
  }
  for (int r = 0; r < R; ++r) {
    const Stream<const Scalar>& longest = slab[r][S - 1];
    for (int i = common; i < longest.count; ++i) {
      const Scalar* const rest[1][1] = {{longest.W + std::ptrdiff_t(i) * cols}};
      const Scalar c[1][1] = {{factor[r][S - 1][i]}};
      detail::add_combinations(0, cols, rest, c, y + r);
    }
  }
}

// y += W^T x, x (rows,), y (cols,)
template <class Scalar>
inline void add_transposed(int rows, int cols, const Scalar* W, const Scalar* x, Scalar* y) {
  Stream<const Scalar> slab[1][StreamCounts<Scalar>::transposed];
  split(W, cols, {0, rows}, slab[0]);
  add_transposed_slabs(cols, slab, x, &y);
}

// y = W x in the rows of these streams, x (cols,), y (rows,)
template <int R, class Number, class Scalar>
inline void multiply_streams(int cols, const Stream<Number> (&streams)[R], const Scalar* x,
                             Scalar* y, const Upcoming& next = {}) {
  detail::for_each_row(streams, cols, next, [&]<int N>(Number*(&row)[N], int (&index)[N]) {
    Scalar product[N];
    detail::dots<N>(cols, row, x, product);
    for (int r = 0; r < N; ++r) y[index[r]] = product[r];
  });
}

// y = W x, x (cols,), y (rows,)
template <class Scalar>
inline void multiply(int rows, int cols, const Scalar* W, const Scalar* x, Scalar* y) {
  Stream<const Scalar> streams[4];
  split(W, cols, {0, rows}, streams);
  multiply_streams(cols, streams, x, y);
}

// W += sum_s c_s u^s (v^s)^T in the rows of these streams, one dyad at least; and y = W x there,
// and the squared norms of the rows if asked for, y and square (rows,)
template <Beside beside, int R, class Scalar>
inline void fold_streams(int cols, const Stream<Scalar> (&streams)[R],
                         const LayerDyads<Scalar>& dyads, const Scalar* x, Scalar* y,
                         Scalar* square, const Upcoming& next = {}) {
  constexpr bool squares = beside == Beside::product_and_square;
  detail::for_each_row(streams, cols, next, [&]<int N>(Scalar*(&row)[N], int (&index)[N]) {
    Scalar sums[2 * N];
    detail::for_each_block_of<largest_narrow>(0, dyads.count, [&](auto part, int first) {
      constexpr int S = decltype(part)::value;
      Scalar c[N][S];
      for (int s = 0; s < S; ++s) {
        const Scalar* u = dyads.u[first + s];
        for (int r = 0; r < N; ++r) c[r][s] = dyads.coefficient[first + s] * u[index[r]];
      }
      if (first + S < dyads.count) {
        detail::fold<N, S, Beside::product>(cols, row, c, dyads.v + first, x, sums);
      } else {
        detail::fold<N, S, beside>(cols, row, c, dyads.v + first, x, sums);
      }
    });
    for (int r = 0; r < N; ++r) y[index[r]] = sums[r];
    for (int r = 0; squares && r < N; ++r) square[index[r]] = sums[N + r];
  });
}

}  // namespace deeplinear
