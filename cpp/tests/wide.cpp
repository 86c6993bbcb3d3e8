// Products of a layer's rows, cut into streams in every way, and passes over a network by a team.
#include <cstddef>
#include <limits>
#include <thread>
#include <utility>
#include <vector>

#include "check.hpp"
#include "model/layout.hpp"
#include "simd/aligned_array.hpp"
#include "threads/team.hpp"
#include "wide/all_finite.hpp"
#include "wide/chain.hpp"
#include "wide/products.hpp"
#include "wide/streams.hpp"

namespace {

using namespace deeplinear;
using namespace deeplinear::tests;

template <class Scalar>
using Array = AlignedVector<Scalar>;

template <class Scalar>
Array<Scalar> some_numbers(std::ptrdiff_t size, Numbers& numbers) {
  Array<Scalar> array(std::size_t(size), Scalar(0));
  for (auto& x : array) x = Scalar(numbers.between(-1, 1));
  return array;
}

template <class Scalar>
void check_equal_arrays(const Array<Scalar>& found, const Array<Scalar>& expected,
                        int line = __builtin_LINE()) {
  for (std::size_t i = 0; i < expected.size(); ++i) {
    check_equal(found[i], expected[i], line, __FILE__);
  }
}

// A sum of n products of size at most 1 is off by n eps / 2 at most, whatever its order.
template <class Scalar>
void check_sum(Scalar found, long double expected, int n, int line = __builtin_LINE()) {
  const long double unit = std::numeric_limits<Scalar>::epsilon() / 2;
  check_close(found, expected, n * unit, line, __FILE__);
}

// y = W x
template <class Scalar>
std::vector<long double> product(int rows, int cols, const Scalar* W, const Scalar* x) {
  std::vector<long double> y(rows, 0);
  for (int i = 0; i < rows; ++i) {
    for (int j = 0; j < cols; ++j) y[i] += (long double)(W[std::ptrdiff_t(i) * cols + j]) * x[j];
  }
  return y;
}

// y = W^T x
template <class Scalar>
std::vector<long double> transposed(int rows, int cols, const Scalar* W, const Scalar* x) {
  std::vector<long double> y(cols, 0);
  for (int i = 0; i < rows; ++i) {
    for (int j = 0; j < cols; ++j) y[j] += (long double)(W[std::ptrdiff_t(i) * cols + j]) * x[i];
  }
  return y;
}

// A row of W x has the same bits in every range of rows and number of streams.
template <int R, class Scalar>
void check_splits(int rows, int cols, const Array<Scalar>& W, const Array<Scalar>& x,
                  const Array<Scalar>& expected) {
  for (int first = 0; first < rows; ++first) {
    for (int last = first + 1; last <= rows; ++last) {
      Array<Scalar> y(std::size_t(rows), Scalar(7));
      Stream<const Scalar> streams[R];
      split(W.data(), cols, {first, last}, streams);
      int next = first;
      for (const auto& stream : streams) {
        check(stream.first == next && stream.W == W.data() + std::ptrdiff_t(next) * cols);
        next += stream.count;
      }
      check(next == last);
      multiply_streams(cols, streams, x.data(), y.data());
      for (int i = 0; i < rows; ++i) {
        check_equal(y[i], i >= first && i < last ? expected[i] : Scalar(7));
      }
    }
  }
}

template <class Scalar>
void check_products(int rows, int cols) {
  Numbers numbers(unsigned(19 + rows * 1000 + cols));
  const auto W = some_numbers<Scalar>(std::ptrdiff_t(rows) * cols, numbers);
  const auto x = some_numbers<Scalar>(cols, numbers), z = some_numbers<Scalar>(rows, numbers);
  Array<Scalar> y(std::size_t(rows), Scalar(0)), t(std::size_t(cols), Scalar(0));
  multiply(rows, cols, W.data(), x.data(), y.data());
  const auto exact = product(rows, cols, W.data(), x.data());
  for (int i = 0; i < rows; ++i) check_sum(y[i], exact[i], cols);
  check_splits<1>(rows, cols, W, x, y);
  check_splits<2>(rows, cols, W, x, y);
  check_splits<3>(rows, cols, W, x, y);
  check_splits<4>(rows, cols, W, x, y);

  add_transposed(rows, cols, W.data(), z.data(), t.data());
  const auto exact_t = transposed(rows, cols, W.data(), z.data());
  for (int j = 0; j < cols; ++j) check_sum(t[j], exact_t[j], rows);
  for (int i = 0; i < rows; ++i) {
    check_equal(wide_dot(cols, W.data() + std::ptrdiff_t(i) * cols, x.data()), y[i]);
  }
}

// Two slabs at once are to the bit each of them alone.
template <int S, class Scalar>
void check_slabs(int rows, int cols) {
  Numbers numbers(20);
  const auto W = some_numbers<Scalar>(std::ptrdiff_t(rows) * cols, numbers);
  const auto x = some_numbers<Scalar>(rows, numbers);
  const int half = rows / 2, each = half / S;
  Array<Scalar> pair[2], alone[2];
  Stream<const Scalar> both[2][S];
  Scalar* sums[2];
  for (int r = 0; r < 2; ++r) {
    pair[r].assign(std::size_t(cols), Scalar(0));
    alone[r] = pair[r];
    sums[r] = pair[r].data();
    const Rows part{r == 0 ? 0 : half, r == 0 ? half : rows};
    Stream<const Scalar> one[1][S];
    split(W.data(), cols, part, each, both[r]);
    split(W.data(), cols, part, each, one[0]);
    Scalar* const sum = alone[r].data();
    add_transposed_slabs(cols, one, x.data(), &sum);
  }
  add_transposed_slabs(cols, both, x.data(), sums);
  const auto exact = transposed(rows, cols, W.data(), x.data());
  for (int r = 0; r < 2; ++r) check_equal_arrays(pair[r], alone[r]);
  for (int j = 0; j < cols; ++j) check_sum(pair[0][j] + pair[1][j], exact[j], rows + 1);
}

// W += c a^T, and beside it W x before or after the last term, and squares: the product is to the
// bit that of the rows that were written.
template <int R, int S, Beside beside, class Scalar>
void check_fold(int cols) {
  Numbers numbers(unsigned(21 + cols));
  Array<Scalar> w[R], given[R], terms[S];
  Scalar* rows[R];
  const Scalar* a[S];
  Scalar c[R][S], out[2 * R] = {};
  for (int s = 0; s < S; ++s) {
    terms[s] = some_numbers<Scalar>(cols, numbers);
    a[s] = terms[s].data();
  }
  for (int r = 0; r < R; ++r) {
    w[r] = given[r] = some_numbers<Scalar>(cols, numbers);
    rows[r] = w[r].data();
    for (int s = 0; s < S; ++s) c[r][s] = Scalar(numbers.between(-1, 1));
  }
  const auto x = some_numbers<Scalar>(cols, numbers);
  detail::fold<R, S, beside>(cols, rows, c, a, x.data(), out);
  for (int r = 0; r < R; ++r) {
    Array<Scalar> before = given[r];
    for (int j = 0; j < cols; ++j) {
      long double entry = given[r][j];
      for (int s = 0; s < S; ++s) {
        entry += (long double)(c[r][s]) * terms[s][j];
        if (s == S - 1) continue;
        before[j] =
            fma(Pack<Scalar, 1>(c[r][s]), Pack<Scalar, 1>(terms[s][j]), Pack<Scalar, 1>(before[j]))
                .lane(0);
      }
      check_sum(w[r][j], entry, (S + 1) * (S + 1));
    }
    const Array<Scalar>& seen = beside == Beside::product_before_last ? before : w[r];
    check_equal(out[r], wide_dot(cols, seen.data(), x.data()));
    if (beside == Beside::product_and_square) {
      check_equal(out[R + r], wide_dot(cols, w[r].data(), w[r].data()));
    }
  }
}

template <class Scalar>
void check_folds() {
  for (const int cols : {1, 5, 16, 33, 100}) {
    check_fold<1, 1, Beside::product, Scalar>(cols);
    check_fold<2, 4, Beside::product, Scalar>(cols);
    check_fold<4, 8, Beside::product, Scalar>(cols);
    check_fold<1, 3, Beside::product_before_last, Scalar>(cols);
    check_fold<4, 2, Beside::product_before_last, Scalar>(cols);
    check_fold<2, 3, Beside::product_and_square, Scalar>(cols);
  }
}

// y = sum_s c_s (a^s + b^s) and y += sum_s c_s a^s, of any number, on any range
template <class Scalar>
void check_combinations() {
  Numbers numbers(22);
  const int n = 70;
  for (int count = 0; count <= 18; ++count) {
    std::vector<Array<Scalar>> arrays;
    std::vector<const Scalar*> a, b;
    for (int s = 0; s < 2 * count; ++s) arrays.push_back(some_numbers<Scalar>(n, numbers));
    for (int s = 0; s < count; ++s) {
      a.push_back(arrays[std::size_t(s)].data());
      b.push_back(s % 2 ? arrays[std::size_t(count + s)].data() : nullptr);
    }
    const auto c = some_numbers<Scalar>(count, numbers), start = some_numbers<Scalar>(n, numbers);
    for (const auto& [first, last] : {std::pair{0, n}, {3, n - 5}, {13, 14}, {7, 7}}) {
      Array<Scalar> set(start), added(start);
      set_to_combination(count, first, last, c.data(), a.data(), b.data(), set.data());
      add_multiples(count, first, last, c.data(), a.data(), added.data());
      for (int j = 0; j < n; ++j) {
        if (j < first || j >= last) {
          check_equal(set[j], start[j]);
          check_equal(added[j], start[j]);
          continue;
        }
        long double sum = 0, more = start[j];
        for (int s = 0; s < count; ++s) {
          sum += (long double)(c[s]) * (a[s][j] + (b[s] ? b[s][j] : Scalar(0)));
          more += (long double)(c[s]) * a[s][j];
        }
        // Partial sums are at most 2 count: each of count terms is rounded to that.
        check_sum(set[j], sum, 3 * (count + 1) * (count + 1));
        check_sum(added[j], more, 3 * (count + 1) * (count + 1));
      }
    }
  }
}

// u_{k-1} = W_k^T u_k and v_k = W_k v_{k-1}
template <class Scalar>
struct Passes {
  Array<Scalar> u, v;
};

template <class Scalar>
Passes<Scalar> passes(const Layout& net, int threads, const Array<Scalar>& W,
                      const Passes<Scalar>& start) {
  Passes<Scalar> result = start;
  Team team(threads);
  std::vector<std::thread> others;
  for (int i = 1; i < threads; ++i) others.emplace_back([&team, i] { team.serve(i); });
  WideChain<Scalar> chain(net, team);
  chain.pull(W.data(), {}, result.u.data());
  chain.push(W.data(), {}, result.v.data());
  team.dismiss();
  for (auto& other : others) other.join();
  return result;
}

template <class Scalar>
void check_chain(const std::vector<int>& widths) {
  Numbers numbers(23);
  const Layout net(widths);
  Array<Scalar> W(std::size_t(net.parameters), Scalar(0));
  for (int k = 1; k <= net.depth(); ++k) {
    const auto layer = some_numbers<Scalar>(Layout::Index(net.rows(k)) * net.cols(k), numbers);
    const Scalar scale = Scalar(1 / std::sqrt(double(net.cols(k))));
    for (std::size_t i = 0; i < layer.size(); ++i) {
      W[std::size_t(net.weights[k]) + i] = scale * layer[i];
    }
  }
  const Passes<Scalar> start{some_numbers<Scalar>(net.coordinates, numbers),
                             some_numbers<Scalar>(net.coordinates, numbers)};
  const auto one = passes(net, 1, W, start);
  for (int k = net.depth(); k >= 1; --k) {
    const int rows = net.rows(k), cols = net.cols(k);
    const Scalar *u = one.u.data() + net.vectors[k], *v = one.v.data() + net.vectors[k - 1];
    const Scalar* layer = W.data() + net.weights[k];
    const auto below = transposed(rows, cols, layer, u), above = product(rows, cols, layer, v);
    // Products are of size at most max |u|, max |v| here; a slab more or less is one more sum.
    Scalar size = 1;
    for (int i = 0; i < rows; ++i) size = std::max(size, std::abs(u[i]));
    for (int j = 0; j < cols; ++j) size = std::max(size, std::abs(v[j]));
    const int terms = int(std::ceil(double(size) * (std::max(rows, cols) + 64)));
    for (int j = 0; j < cols; ++j) check_sum(one.u[net.vectors[k - 1] + j], below[j], terms);
    for (int i = 0; k < net.depth() && i < rows; ++i) {
      check_sum(one.v[net.vectors[k] + i], above[i], terms);
    }
  }
  for (const int threads : {2, 3}) {
    const auto several = passes(net, threads, W, start);
    check_equal_arrays(several.u, one.u);
    check_equal_arrays(several.v, one.v);
  }
}

template <class Scalar>
void check_finite() {
  Team team(1);
  for (const std::ptrdiff_t size : {1, 7, 64, 40000}) {
    Array<Scalar> x(std::size_t(size), Scalar(1));
    check(all_finite(team, size, x.data()));
    for (const std::ptrdiff_t place : {std::ptrdiff_t(0), size / 2, size - 1}) {
      using Limits = std::numeric_limits<Scalar>;
      for (const Scalar odd : {Limits::infinity(), -Limits::infinity(), Limits::quiet_NaN()}) {
        x[std::size_t(place)] = odd;
        check(!all_finite(team, size, x.data()));
      }
      x[std::size_t(place)] = Limits::max();
      check(all_finite(team, size, x.data()));
    }
  }
}

template <class Scalar>
void check_precision() {
  for (const auto& [rows, cols] :
       {std::pair{1, 1}, {5, 3}, {9, 8}, {13, 33}, {20, 100}, {17, 257}}) {
    check_products<Scalar>(rows, cols);
  }
  for (const int cols : {3, 40, 300}) {
    for (const int rows : {8, 32, 65}) {
      check_slabs<1, Scalar>(rows, cols);
      check_slabs<2, Scalar>(rows, cols);
      check_slabs<4, Scalar>(rows, cols);
    }
  }
  check_folds<Scalar>();
  check_combinations<Scalar>();
  check_chain<Scalar>({3, 4, 3, 1});
  check_chain<Scalar>({65, 64, 129, 1});
  check_chain<Scalar>({40, 200, 70, 33, 5});
  check_chain<Scalar>({130, 600, 150, 100});
  check_finite<Scalar>();
}

}  // namespace

int main() {
  check_precision<double>();
  check_precision<float>();
  return status();
}
