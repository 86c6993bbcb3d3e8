// The two passes over the weights of one run, by the threads of a team:
//
//   pull:  u_{k-1} = W_k^T u_k + a_{k-1},  k = L .. 1
//   push:  v_k = W_k v_{k-1} + b_k,        k = 1 .. L
//
// at weights that are those in memory plus dyads: W_k + sum_s c_s u^s_k (v^s_{k-1})^T.
//
// The rows of a layer are cut into slabs, which go to the threads. In a push a thread computes its
// rows of v_k; in a pull each slab gives a sum of its own, and a thread adds those up where its
// rows of the next layer need them. So every thread reads consecutive memory, the threads meet once
// per layer, and all sums have an order that the number of threads doesn't change: slabs that are
// short are added up in pairs, by the thread that has both, which leaves others less to read from
// its cache, or else by all.
#pragma once

#include <algorithm>

#include "model/dyads.hpp"
#include "simd/aligned_array.hpp"
#include "threads/team.hpp"
#include "wide/products.hpp"

namespace deeplinear {

// Nothing is added in a pass.
struct NoSource {
  template <class... Arguments>
  void operator()(const Arguments&...) const {}
};

template <class Scalar>
class WideChain {
 public:
  using Index = Layout::Index;

  WideChain(const Layout& net, Team& team) : net_(net), team_(team) {
    for (int k = 1; k <= net.depth(); ++k) {
      if (slabs(k) > 1) stride_ = std::max(stride_, net.cols(k));
      most_slabs_ = std::max(most_slabs_, slabs(k));
    }
    constexpr int line = line_bytes / int(sizeof(Scalar));
    stride_ = (stride_ + line - 1) / line * line;
    sums_.assign(std::size_t(2) * std::size_t(most_slabs_) * std::size_t(stride_), Scalar(0));
  }

  Team& team() const { return team_; }

  // More threads would meet more often than they work: a part of a layer takes a few hundred
  // nanoseconds from the cache, a meeting about a hundred.
  static int most_useful_threads(const Layout& net) {
    const Index smallest_part = 2048;
    return int(std::clamp<Index>(net.parameters / net.depth() / smallest_part, 1, largest_slabs));
  }

  // u_{k-1} for k = L .. 1 from u_L. source(k, first, last, y) adds a_k to y on first .. last.
  template <class Source = NoSource>
  void pull(const Scalar* W, const Dyads<Scalar>& dyads, Vectors<Scalar> u, Source source = {}) {
    team_.run([&](Team::Member member) {
      for (int k = net_.depth(); k >= 1; --k) pull_layer(member, k, W, dyads, u, source);
    });
  }

  // v_k for k = 1 .. L - 1 from v_0. source(k, first, last, y) adds b_k to y on first .. last.
  template <class Source = NoSource>
  void push(const Scalar* W, const Dyads<Scalar>& dyads, Vectors<Scalar> v, Source source = {}) {
    team_.run([&](Team::Member member) {
      for (int k = 1; k < net_.depth(); ++k) {
        const int cols = net_.cols(k);
        const auto product = [&](const auto& streams, const Scalar* x, Scalar* y,
                                 const Upcoming& next) {
          multiply_streams(cols, streams, x, y, next);
        };
        if (StreamCounts<Scalar>::short_rows(cols)) {
          push_layer<4>(member, k, W, dyads, v, source, product);
        } else {
          push_layer<2>(member, k, W, dyads, v, source, product);
        }
      }
    });
  }

  // W += the folded dyads, the last of which may have the v that is pushed; and the push with the
  // other dyads, at W with the folded ones. The squared norms of rows, if asked for, lie as
  // vectors.
  template <Beside beside>
  void fold_and_push(Scalar* W, const Dyads<Scalar>& folded, const Dyads<Scalar>& dyads,
                     Vectors<Scalar> v, Scalar* squares = nullptr) {
    // or there are too many sums
    constexpr int streams = beside == Beside::product_and_square ? 2 : StreamCounts<Scalar>::fold;
    push_through<streams>(W, dyads, v, [&](int k) {
      return [&, k, layer = folded.layer(net_, k)](const auto& rows, const Scalar* x, Scalar* y,
                                                   const Upcoming& next) {
        Scalar* square = squares ? squares + net_.vectors[k] : nullptr;
        fold_streams<beside>(net_.cols(k), rows, layer, x, y, square, next);
      };
    });
  }

  // The push by products of another's: product(k)(rows, x, y, next) sets y = W_k x in the rows of
  // so many streams, and may change them.
  template <int streams, class Product>
  void push_through(Scalar* W, const Dyads<Scalar>& dyads, Vectors<Scalar> v, Product product) {
    team_.run([&](Team::Member member) {
      for (int k = 1; k <= net_.depth(); ++k) {
        push_layer<streams>(member, k, W, dyads, v, NoSource{}, product(k));
      }
    });
  }

  // Calls body(k) for k = 1 .. L, every layer by one thread.
  template <class Body>
  void for_each_layer(Body body) {
    team_.run([&](Team::Member member) {
      const auto [first, last] = member.share(net_.depth());
      for (int k = first + 1; k <= last; ++k) body(k);
    });
  }

 private:
  static constexpr int largest_slabs = 64, rows_per_slab = 32;
  static constexpr int dyads_capacity = Dyads<Scalar>::capacity;

  int slabs(int k) const { return std::clamp(net_.rows(k) / rows_per_slab, 1, largest_slabs); }

  // The member's slabs of layer k; none where there is no such layer
  Team::Range slabs_of(Team::Member member, int k) const {
    if (k < 1 || k > net_.depth()) return {0, 0};
    return member.share(slabs(k));
  }

  // The rows of some slabs of layer k
  Rows rows_of(int k, Team::Range part) const {
    const int rows = net_.rows(k), count = slabs(k);
    const auto start = [&](int slab) { return int(Index(rows) * slab / count); };
    return {start(part.first), start(part.last)};
  }

  // The member's rows of layer k; of the vector u_0 for k = 0
  Rows rows_of(Team::Member member, int k) const {
    if (k > 0) return rows_of(k, slabs_of(member, k));
    const auto [first, last] = member.share(net_.widths[0], line_bytes / int(sizeof(Scalar)));
    return {first, last};
  }

  // Slabs 2 i and 2 i + 1 are a pair, passed over at once, where a slab is too short for four
  // streams of its own.
  static constexpr int short_bytes = 2048;  // of a row
  bool in_pairs(int k) const {
    const int cols = net_.cols(k);
    return cols < short_bytes / int(sizeof(Scalar)) && !StreamCounts<Scalar>::short_rows(cols);
  }

  // Whether the slabs of the pair that begins with that slab go to two threads
  bool is_split(int k, int slab) const {
    const int size = team_.size(), count = slabs(k), second = slab + 1;
    const int member = (second * size + count - 1) / count;  // none before begins with it
    return second < count && count * member / size == second;
  }

  // The sum of a slab of layer k, or of a pair that begins with it, (cols,)
  Scalar* sum_of_slab(int k, int slab) {
    const Index row = Index(k % 2) * most_slabs_ + slab;  // neighbouring layers take turns
    return sums_.data() + row * stride_;
  }

  template <class Source>
  void pull_layer(Team::Member member, int k, const Scalar* W, const Dyads<Scalar>& dyads,
                  Vectors<Scalar> u, Source source) {
    const Scalar* x = u.at(net_, k);
    Scalar* y = u.at(net_, k - 1);
    if (slabs(k) == 1) {
      if (!slabs_of(member, k).empty()) multiply_alone(k, W, dyads, x, y, source);
      member.barrier();
      return;
    }
    sum_slabs(member, k, W, x);
    member.barrier();
    // A thread needs u_{k-1} on its rows of the next layer; there all of them.
    const Rows next = rows_of(member, k - 1);
    if (!next.empty()) add_up(k, next, dyads.layer(net_, k), x, y, source);
    if (k == 1) member.barrier();
  }

  // The sums of the member's slabs of layer k, the last ones first
  void sum_slabs(Team::Member member, int k, const Scalar* W, const Scalar* x) {
    constexpr int all = StreamCounts<Scalar>::transposed;
    const auto mine = slabs_of(member, k);
    for (int end = mine.last, first; end > mine.first; end = first) {
      first = first_before(k, mine, end);
      const Upcoming next = slabs_before(member, k, first, W);
      if (!in_pairs(k)) {
        sum_at_once<1, all>(k, first, W, x, next);
      } else if (end - first == 1) {
        sum_at_once<1, all / 2>(k, first, W, x, next);
      } else {
        sum_at_once<2, all / 2>(k, first, W, x, next);
      }
    }
  }

  // The first of the slabs that are passed over at once, and are the last of some before `end`
  int first_before(int k, Team::Range slabs, int end) const {
    const bool pair = in_pairs(k) && end % 2 == 0 && end - slabs.first >= 2;
    return end - (pair ? 2 : 1);
  }

  template <int R, int S>
  void sum_at_once(int k, int first, const Scalar* W, const Scalar* x, const Upcoming& next) {
    const int cols = net_.cols(k), each = net_.rows(k) / slabs(k) / S;  // in all slabs
    alignas(line_bytes) Scalar of_one[R][R > 1 ? short_bytes / sizeof(Scalar) : 1];
    Scalar* const sum = sum_of_slab(k, first);
    Scalar* sums[R];
    Stream<const Scalar> slabs[R][S];
    for (int r = 0; r < R; ++r) {
      sums[r] = R > 1 ? of_one[r] : sum;
      std::fill_n(sums[r], cols, Scalar(0));
      split(W + net_.weights[k], cols, rows_of(k, {first + r, first + r + 1}), each, slabs[r]);
    }
    add_transposed_slabs(cols, slabs, x, sums, next);
    for (int j = 0; R > 1 && j < cols; ++j) sum[j] = of_one[0][j] + of_one[R - 1][j];
  }

  // What a pull reads before the slabs of layer k from `end` on, or in the layer below
  Upcoming slabs_before(Team::Member member, int k, int end, const Scalar* W) const {
    auto mine = slabs_of(member, k);
    if (end == mine.first) {
      mine = slabs_of(member, --k);
      end = mine.last;
    }
    if (mine.empty()) return {};
    const Rows rows = rows_of(k, {first_before(k, mine, end), end});
    return upcoming<StreamCounts<Scalar>::transposed>(W, k, rows);
  }

  // Rows of layer k, read as R streams
  template <int R>
  Upcoming upcoming(const Scalar* W, int k, const Rows& rows) const {
    Stream<const Scalar> streams[R];
    split(W + net_.weights[k], net_.cols(k), rows, streams);
    return Upcoming(streams);
  }

  // y = W^T x + a, by one thread
  template <class Source>
  void multiply_alone(int k, const Scalar* W, const Dyads<Scalar>& dyads, const Scalar* x,
                      Scalar* y, Source source) {
    const int rows = net_.rows(k), cols = net_.cols(k);
    const Scalar* layer = W + net_.weights[k];
    std::fill_n(y, cols, Scalar(0));
    source(k - 1, 0, cols, y);
    if (cols <= largest_narrow) {
      using One = Pack<Scalar, 1>;
      transposed_product<One>(rows, cols, reinterpret_cast<const One*>(layer),
                              reinterpret_cast<const One*>(x), reinterpret_cast<One*>(y), true);
    } else {
      add_transposed(rows, cols, layer, x, y);
    }
    const LayerDyads<Scalar> layer_dyads = dyads.layer(net_, k);
    add_dyads(layer_dyads, layer_dyads.u, layer_dyads.v, rows, x, {0, cols}, y);
  }

  // y = the sums of all slabs, sum_s c_s (u^s . x) v^s and a_{k-1}, on some entries
  template <class Source>
  void add_up(int k, const Rows& entries, const LayerDyads<Scalar>& dyads, const Scalar* x,
              Scalar* y, Source source) {
    constexpr int capacity = largest_slabs + dyads_capacity;
    Scalar c[capacity];
    const Scalar* part[capacity];
    const Scalar* second[capacity] = {};
    int count = 0;
    const bool pairs = in_pairs(k);
    for (int slab = 0; slab < slabs(k); slab += pairs ? 2 : 1) {
      c[count] = 1;
      part[count] = sum_of_slab(k, slab);
      second[count++] = pairs && is_split(k, slab) ? sum_of_slab(k, slab + 1) : nullptr;
    }
    coefficients(dyads, dyads.u, net_.rows(k), x, c + count);
    std::copy_n(dyads.v, dyads.count, part + count);
    count += dyads.count;
    set_to_combination(count, entries.first, entries.last, c, part, second, y);
    source(k - 1, entries.first, entries.last, y);
  }

  // multiply(streams, x, y, next) sets y = W x in the rows of R streams.
  template <int R, class Number, class Source, class Multiply>
  void push_layer(Team::Member member, int k, Number* W, const Dyads<Scalar>& dyads,
                  Vectors<Scalar> v, Source source, Multiply multiply) {
    const Rows rows = rows_of(member, k);
    if (!rows.empty()) {
      const Scalar* x = v.at(net_, k - 1);
      Scalar* y = v.at(net_, k);
      Stream<Number> streams[R];
      split(W + net_.weights[k], net_.cols(k), rows, streams);
      const bool goes_on = !slabs_of(member, k + 1).empty();
      const Upcoming next = goes_on ? upcoming<R>(W, k + 1, rows_of(member, k + 1)) : Upcoming();
      multiply(streams, x, y, next);
      const auto layer = dyads.layer(net_, k);
      add_dyads(layer, layer.v, layer.u, net_.cols(k), x, rows, y);
      source(k, rows.first, rows.last, y);
    }
    member.barrier();
  }

  // c_s (a^s . x) of all dyads; a^s and x (n,)
  static void coefficients(const LayerDyads<Scalar>& dyads, const Scalar* const* a, int n,
                           const Scalar* x, Scalar* out) {
    wide_dots(dyads.count, n, a, x, out);
    for (int s = 0; s < dyads.count; ++s) out[s] *= dyads.coefficient[s];
  }

  // y += sum_s c_s (a^s . x) b^s on some entries; a^s and x (n,)
  static void add_dyads(const LayerDyads<Scalar>& dyads, const Scalar* const* a,
                        const Scalar* const* b, int n, const Scalar* x, const Rows& entries,
                        Scalar* y) {
    Scalar c[dyads_capacity];
    coefficients(dyads, a, n, x, c);
    add_multiples(dyads.count, entries.first, entries.last, c, b, y);
  }

  const Layout& net_;
  Team& team_;
  int most_slabs_ = 1, stride_ = 0;
  AlignedVector<Scalar> sums_;
};

}  // namespace deeplinear
