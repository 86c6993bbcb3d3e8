// What a push writes every second step of descent with momentum.
#pragma once

#include "wide/products.hpp"

namespace deeplinear {

// With A = W_n and W_{n+1} = B + P, P = -h a K_n, the recurrence of rules/momentum.hpp gives, by
// Q = -h a K_{n+1} and r = b / a,
//
//   E = delta (B + P - A) - h d (B + P) + Q + r P,   A' = W_{n+2} = B + P + E,
//   B' = A' + delta E - h d A' + r Q,                W_{n+3} = B' - h a K_{n+2}.
//
// What is small beside the weights is added up first: A' and B' are each rounded once.
template <class Scalar>
struct MomentumUpdate {
  Scalar delta, minus_decay, ratio;  // -h d, r
  LayerDyads<Scalar> dyads;          // P and Q
  std::ptrdiff_t to_before;          // from an entry of B to that of A

  // Of an entry: A and B become A' and B'. Where it is not general, d = r = 0.
  template <class Q, bool General>
  struct Entry {
    Q delta, both, minus_decay, ratio;  // both: delta + r

    explicit Entry(const MomentumUpdate& of)
        : delta(of.delta),
          both(of.delta + of.ratio),
          minus_decay(of.minus_decay),
          ratio(of.ratio) {}

    void operator()(Q& a, Q& b, const Q& p, const Q& q) const {
      if constexpr (General) {
        const Q E = fma(delta, b - a, fma(both, p, fma(minus_decay, b + p, q)));
        a = b + (p + E);
        b = a + fma(delta, E, fma(minus_decay, a, ratio * q));
      } else {
        const Q E = fma(delta, b - a, fma(delta, p, q));
        a = b + (p + E);
        b = fma(delta, E, a);
      }
    }
  };
};

namespace detail {

// The rows b of B, at which out_r = b^r . x is taken, and those of A
template <int R, bool General, class Scalar>
inline void update_rows(int n, Scalar* const* rows, const int* index,
                        const MomentumUpdate<Scalar>& update, const Scalar* x, Scalar* out) {
  using V = Vector<Scalar>;
  using One = Pack<Scalar, 1>;
  using Update = MomentumUpdate<Scalar>;
  Scalar *b[R], *a[R], left[2][R];
  const Scalar* right[2];
  for (int s = 0; s < 2; ++s) {
    right[s] = update.dyads.v[s];
    for (int r = 0; r < R; ++r) {
      left[s][r] = update.dyads.coefficient[s] * update.dyads.u[s][index[r]];
    }
  }
  for (int r = 0; r < R; ++r) {
    b[r] = rows[r];
    a[r] = rows[r] + update.to_before;
  }
  V factor[2][R];
  for (int s = 0; s < 2; ++s) {
    for (int r = 0; r < R; ++r) factor[s][r] = V(left[s][r]);
  }
  const typename Update::template Entry<V, General> move(update);
  const typename Update::template Entry<One, General> move_one(update);
  const auto add = [&]<class Q>(int j, Q* sum) __attribute__((always_inline)) {
    const Q xj = load<Q>(x + j), first = load<Q>(right[0] + j), second = load<Q>(right[1] + j);
    Q at[R], before[R];
    for (int r = 0; r < R; ++r) {
      at[r] = load<Q>(b[r] + j);
      before[r] = load<Q>(a[r] + j);
    }
    for (int r = 0; r < R; ++r) {
      sum[r] = fma(at[r], xj, sum[r]);
      if constexpr (Q::lanes == V::lanes) {
        move(before[r], at[r], factor[0][r] * first, factor[1][r] * second);
      } else {
        move_one(before[r], at[r], Q(left[0][r]) * first, Q(left[1][r]) * second);
      }
    }
    for (int r = 0; r < R; ++r) {
      store(b[r] + j, at[r]);
      store(a[r] + j, before[r]);
    }
  };
  sum_over<R>(n, add, out);
}

}  // namespace detail

// y = B x in the rows of these streams of B, which are updated with those of A; y (rows,)
template <bool General, int R, class Scalar>
inline void update_streams(int cols, const Stream<Scalar> (&streams)[R],
                           const MomentumUpdate<Scalar>& update, const Scalar* x, Scalar* y,
                           const Upcoming& next = {}) {
  detail::for_each_row(streams, cols, next, [&]<int N>(Scalar*(&row)[N], int (&index)[N]) {
    Scalar product[N];
    detail::update_rows<N, General>(cols, row, index, update, x, product);
    for (int r = 0; r < N; ++r) y[index[r]] = product[r];
  });
}

}  // namespace deeplinear
