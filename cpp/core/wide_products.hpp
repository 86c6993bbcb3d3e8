// Products of a layer W (rows x cols, row by row) of one run with vectors, SIMD along the columns.
//
// Each works on some rows of the layer, so that threads can share it, and reads them once from the
// first to the last. The number of rows that are worked on together changes no sum, to the bit.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include <Eigen/Core>

#include "pack.hpp"
#include "products.hpp"

namespace deeplinear {

// Rank-one terms c_s u^s (v^s)^T, s < count, that belong to a layer and are not in its memory yet;
// u^s (rows,) and v^s (cols,)
template <class Scalar>
struct LayerTerms {
  static constexpr int capacity = 16;
  int count = 0;
  Scalar coefficient[capacity];
  const Scalar* u[capacity];
  const Scalar* v[capacity];
};

// What a thread reads after its rows of this layer, such as its rows of the next one. Lines are
// fetched some kilobytes before their turn, across layers: so the memory has work while the threads
// wait for each other. Rows that are read side by side are fetched one after another, since memory
// is fastest on a single stream.
template <class Scalar>
struct Upcoming {
  const Scalar* rows = nullptr;
  std::ptrdiff_t row_length = 0;
};

namespace detail {

inline constexpr int line_bytes = 64;
inline constexpr std::ptrdiff_t lead_bytes = 16384;
inline constexpr int rows_together = 4;

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

// Fetches the lines of `bytes` bytes at `ahead` bytes from an address; they need not exist.
template <int bytes>
inline void prefetch(const void* from, std::ptrdiff_t ahead) {
  const auto address = reinterpret_cast<std::uintptr_t>(from) + std::uintptr_t(ahead);
  for (int i = 0; i < bytes; i += line_bytes) {
    __builtin_prefetch(reinterpret_cast<const void*>(address + std::uintptr_t(i)), 0, 3);
  }
}

// y += sum_r c_r a^r, one after another; y and a^r (n,), R of them. Fetches R n numbers `ahead`.
template <int R, class Scalar>
inline void add_combination(int n, const Scalar* const* a, const Scalar* c, Scalar* y,
                            std::ptrdiff_t ahead = 0) {
  using V = Vector<Scalar>;
  constexpr int L = V::lanes;
  const Scalar* row[R];
  V factor[R];
  for (int r = 0; r < R; ++r) {
    row[r] = a[r];
    factor[r] = V(c[r]);
  }
  const auto add = [&](int j) {
    V sum = load<V>(y + j);
    for (int r = 0; r < R; ++r) sum = fma(load<V>(row[r] + j), factor[r], sum);
    store(y + j, sum);
  };
  int j = 0;
  for (; j + 2 * L <= n; j += 2 * L) {
    if (ahead != 0) prefetch<R * 2 * L* int(sizeof(Scalar))>(row[0] + R * j, ahead);
    add(j);
    add(j + L);
  }
  if (j + L <= n) {
    add(j);
    j += L;
  }
  using One = Pack<Scalar, 1>;
  for (; j < n; ++j) {
    One sum = load<One>(y + j);
    for (int r = 0; r < R; ++r) sum = fma(load<One>(row[r] + j), One(c[r]), sum);
    store(y + j, sum);
  }
}

// out_r = a^r . x, each by two sums of vectors and one of what is left; a^r and x (n,), R of them
template <int R, class Scalar>
inline void dots(int n, const Scalar* const* a, const Scalar* x, Scalar* out,
                 std::ptrdiff_t ahead = 0) {
  using V = Vector<Scalar>;
  constexpr int L = V::lanes;
  const Scalar* row[R];
  V even[R], odd[R];
  for (int r = 0; r < R; ++r) {
    row[r] = a[r];
    even[r] = odd[r] = zero<V>();
  }
  int j = 0;
  for (; j + 2 * L <= n; j += 2 * L) {
    if (ahead != 0) prefetch<R * 2 * L* int(sizeof(Scalar))>(row[0] + R * j, ahead);
    const V first = load<V>(x + j), second = load<V>(x + j + L);
    for (int r = 0; r < R; ++r) {
      even[r] = fma(load<V>(row[r] + j), first, even[r]);
      odd[r] = fma(load<V>(row[r] + j + L), second, odd[r]);
    }
  }
  if (j + L <= n) {
    for (int r = 0; r < R; ++r) even[r] = fma(load<V>(row[r] + j), load<V>(x + j), even[r]);
    j += L;
  }
  using One = Pack<Scalar, 1>;
  for (int r = 0; r < R; ++r) {
    One rest = zero<One>();
    for (int i = j; i < n; ++i) rest = fma(load<One>(row[r] + i), load<One>(x + i), rest);
    const V sum = even[r] + odd[r];
    Scalar total;
    if constexpr (L == 1) {
      total = sum.part[0];
    } else {
      total = Eigen::internal::predux(sum.part[0]);
    }
    out[r] = total + rest.part[0];
  }
}

// row += sum_s c_s v^s; returns row . x after it, summed as in dots; v^s, row and x (n,), S terms
template <int S, class Scalar>
inline Scalar fold_row(int n, Scalar* row, const Scalar* c, const Scalar* const* v, const Scalar* x,
                       std::ptrdiff_t ahead) {
  using V = Vector<Scalar>;
  constexpr int L = V::lanes;
  const Scalar* term[S];
  V factor[S];
  for (int s = 0; s < S; ++s) {
    term[s] = v[s];
    factor[s] = V(c[s]);
  }
  int j = 0;
  V even = zero<V>(), odd = zero<V>();
  for (; j + 2 * L <= n; j += 2 * L) {
    prefetch<2 * L* int(sizeof(Scalar))>(row + j, ahead);
    V first = load<V>(row + j), second = load<V>(row + j + L);
    for (int s = 0; s < S; ++s) {
      first = fma(factor[s], load<V>(term[s] + j), first);
      second = fma(factor[s], load<V>(term[s] + j + L), second);
    }
    even = fma(first, load<V>(x + j), even);
    odd = fma(second, load<V>(x + j + L), odd);
    store(row + j, first);
    store(row + j + L, second);
  }
  if (j + L <= n) {
    V w = load<V>(row + j);
    for (int s = 0; s < S; ++s) w = fma(factor[s], load<V>(term[s] + j), w);
    even = fma(w, load<V>(x + j), even);
    store(row + j, w);
    j += L;
  }
  using One = Pack<Scalar, 1>;
  One rest = zero<One>();
  for (; j < n; ++j) {
    One w = load<One>(row + j);
    for (int s = 0; s < S; ++s) w = fma(One(c[s]), load<One>(term[s] + j), w);
    rest = fma(w, load<One>(x + j), rest);
    store(row + j, w);
  }
  const V sum = even + odd;
  if constexpr (L == 1) {
    return sum.part[0] + rest.part[0];
  } else {
    return Eigen::internal::predux(sum.part[0]) + rest.part[0];
  }
}

// Calls body(R, first) for blocks of at most R rows of first .. last, the last of them shorter.
template <int R, class Body>
inline void for_each_block_of(int first, int last, Body body) {
  for (; last - first >= R; first += R) body(std::integral_constant<int, R>{}, first);
  if (first < last) {
    with_constant(last - first, [&](auto rest) {
      if constexpr (decltype(rest)::value < R) body(rest, first);
    });
  }
}

// How far ahead of row i, in bytes, what is fetched beside it lies
template <class Scalar>
class Lead {
 public:
  Lead(const Scalar* rows, int count, std::ptrdiff_t row_length, Upcoming<Scalar> next)
      : rows_(rows), count_(count), row_length_(row_length), next_(next) {
    const auto lead = lead_bytes / std::max<std::ptrdiff_t>(row_length * sizeof(Scalar), 1);
    lead_ = int(std::clamp<std::ptrdiff_t>(lead, rows_together, std::max(count, rows_together)));
  }

  std::ptrdiff_t operator()(int i) const {
    const int target = i + lead_;
    if (target < count_) return std::ptrdiff_t(sizeof(Scalar)) * row_length_ * lead_;
    if (!next_.rows) return 0;
    const auto from = reinterpret_cast<std::uintptr_t>(rows_ + i * row_length_);
    const auto to = reinterpret_cast<std::uintptr_t>(next_.rows);
    return std::ptrdiff_t(to - from) +
           std::ptrdiff_t(sizeof(Scalar)) * (target - count_) * next_.row_length;
  }

 private:
  const Scalar* rows_;
  int count_;
  std::ptrdiff_t row_length_;
  Upcoming<Scalar> next_;
  int lead_;
};

// Calls body(R, i, row) for blocks of R rows i, i + 1, .. of W, as pointers row[0 .. R), that cover
// first .. last.
template <class Scalar, class Body>
inline void for_each_row_block(const Scalar* W, std::ptrdiff_t cols, int first, int last,
                               Body body) {
  for_each_block_of<rows_together>(first, last, [&](auto block, int i) {
    constexpr int R = decltype(block)::value;
    const Scalar* row[R];
    for (int r = 0; r < R; ++r) row[r] = W + (i + r) * cols;
    body(block, i, row);
  });
}

}  // namespace detail

// y += sum_s c_s a^s for any number of them
template <class Scalar>
inline void add_multiples(int count, int n, const Scalar* c, const Scalar* const* a, Scalar* y) {
  detail::for_each_block_of<largest_narrow>(0, count, [&](auto block, int first) {
    detail::add_combination<decltype(block)::value>(n, a + first, c + first, y);
  });
}

// out_s = a^s . x for any number of them
template <class Scalar>
inline void wide_dots(int count, int n, const Scalar* const* a, const Scalar* x, Scalar* out) {
  detail::for_each_block_of<detail::rows_together>(0, count, [&](auto block, int first) {
    detail::dots<decltype(block)::value>(n, a + first, x, out + first);
  });
}

template <class Scalar>
inline Scalar wide_dot(int n, const Scalar* x, const Scalar* y) {
  Scalar sum;
  detail::dots<1>(n, &x, y, &sum);
  return sum;
}

// y += (W^T x) of the rows first .. last alone, x (rows,), y (cols,)
template <class Scalar>
inline void add_transposed_rows(int cols, const Scalar* W, const Scalar* x, int first, int last,
                                Scalar* y, Upcoming<Scalar> next = {}) {
  const detail::Lead<Scalar> lead(W + std::ptrdiff_t(first) * cols, last - first, cols, next);
  detail::for_each_row_block(W, cols, first, last, [&](auto block, int i, const auto& row) {
    detail::add_combination<decltype(block)::value>(cols, row, x + i, y, lead(i - first));
  });
}

// y[first .. last) = (W x)[first .. last), x (cols,)
template <class Scalar>
inline void multiply_rows(int cols, const Scalar* W, const Scalar* x, int first, int last,
                          Scalar* y, Upcoming<Scalar> next = {}) {
  const detail::Lead<Scalar> lead(W + std::ptrdiff_t(first) * cols, last - first, cols, next);
  detail::for_each_row_block(W, cols, first, last, [&](auto block, int i, const auto& row) {
    detail::dots<decltype(block)::value>(cols, row, x, y + i, lead(i - first));
  });
}

// W += sum_s c_s u^s (v^s)^T in the rows first .. last; then y = W x there
template <class Scalar>
inline void fold_rows(int cols, Scalar* W, const LayerTerms<Scalar>& terms, const Scalar* x,
                      int first, int last, Scalar* y, Upcoming<Scalar> next = {}) {
  const detail::Lead<Scalar> lead(W + std::ptrdiff_t(first) * cols, last - first, cols, next);
  for (int i = first; i < last; ++i) {
    Scalar factor[LayerTerms<Scalar>::capacity];
    for (int s = 0; s < terms.count; ++s) factor[s] = terms.coefficient[s] * terms.u[s][i];
    Scalar* row = W + std::ptrdiff_t(i) * cols;
    detail::for_each_block_of<largest_narrow>(0, terms.count, [&](auto block, int s) {
      y[i] = detail::fold_row<decltype(block)::value>(cols, row, factor + s, terms.v + s, x,
                                                      lead(i - first));
    });
  }
}

}  // namespace deeplinear
