// The two passes over the weights of one run, by the threads of a team:
//
//   pull:  u_{k-1} = W_k^T u_k + a_{k-1},  k = L .. 1
//   push:  v_k = W_k v_{k-1} + b_k,        k = 1 .. L
//
// at weights that are those in memory plus rank-one terms: W_k + sum_s c_s u^s_k (v^s_{k-1})^T.
//
// The rows of a layer are cut into slabs, which go to the threads. In a push a thread computes its
// rows of v_k; in a pull each slab gives a sum of its own, and a thread adds those up where its
// rows of the next layer need them. So every thread reads consecutive memory, the threads meet once
// per layer, and all sums have an order that the number of threads doesn't change.
#pragma once

#include <algorithm>

#include "layout.hpp"
#include "memory.hpp"
#include "team.hpp"
#include "wide_products.hpp"

namespace deeplinear {

// A vector of every width, as of Layout::vectors; or one of `count` whose vectors of the same width
// lie side by side: what a layer needs of all of them is then one stream of memory.
template <class Scalar>
struct Vectors {
  Scalar* data = nullptr;
  int count = 1, place = 0;

  Vectors() = default;
  Vectors(Scalar* data_, int count_ = 1, int place_ = 0)
      : data(data_), count(count_), place(place_) {}

  // (d_k,)
  Scalar* at(const Layout& net, int k) const {
    return data + count * net.vectors[k] + Layout::Index(place) * net.widths[k];
  }
  operator Vectors<const Scalar>() const { return {data, count, place}; }
};

// Rank-one terms of all layers: c_s u^s_k (v^s_{k-1})^T
template <class Scalar>
struct Terms {
  static constexpr int capacity = LayerTerms<Scalar>::capacity;
  int count = 0;
  Scalar coefficient[capacity];
  Vectors<const Scalar> u[capacity];
  Vectors<const Scalar> v[capacity];

  void add(Scalar c, Vectors<const Scalar> u_, Vectors<const Scalar> v_) {
    coefficient[count] = c;
    u[count] = u_;
    v[count++] = v_;
  }

  LayerTerms<Scalar> of_layer(const Layout& net, int k) const {
    LayerTerms<Scalar> layer;
    layer.count = count;
    for (int s = 0; s < count; ++s) {
      layer.coefficient[s] = coefficient[s];
      layer.u[s] = u[s].at(net, k);
      layer.v[s] = v[s].at(net, k - 1);
    }
    return layer;
  }
};

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
  void pull(const Scalar* W, const Terms<Scalar>& terms, Vectors<Scalar> u, Source source = {}) {
    team_.run([&](Team::Member member) {
      for (int k = net_.depth(); k >= 1; --k) pull_layer(member, k, W, terms, u, source);
    });
  }

  // v_k for k = 1 .. L - 1 from v_0. source(k, first, last, y) adds b_k to y on first .. last.
  template <class Source = NoSource>
  void push(const Scalar* W, const Terms<Scalar>& terms, Vectors<Scalar> v, Source source = {}) {
    team_.run([&](Team::Member member) {
      for (int k = 1; k < net_.depth(); ++k) {
        push_layer(member, k, terms, v, source, [&](const Rows& rows, const Scalar* x, Scalar* y) {
          multiply_rows(net_.cols(k), W + net_.weights[k], rows, x, y, next_rows(W, k, member));
        });
      }
    });
  }

  // W += the folded terms, the last of which may have the v that is pushed; and the push with the
  // other terms, at W with the folded ones. The squared norms of rows, if asked for, lie as
  // vectors.
  template <Beside beside>
  void fold_and_push(Scalar* W, const Terms<Scalar>& folded, const Terms<Scalar>& terms,
                     Vectors<Scalar> v, Scalar* squares = nullptr) {
    team_.run([&](Team::Member member) {
      for (int k = 1; k <= net_.depth(); ++k) {
        push_layer(member, k, terms, v, NoSource{},
                   [&](const Rows& rows, const Scalar* x, Scalar* y) {
                     Scalar* square = squares ? squares + net_.vectors[k] : nullptr;
                     fold_rows<beside>(net_.cols(k), W + net_.weights[k], folded.of_layer(net_, k),
                                       rows, x, y, square, next_rows(W, k, member));
                   });
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
  static constexpr int terms_capacity = Terms<Scalar>::capacity;

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

  // What a push reads after layer k
  Upcoming<Scalar> next_rows(const Scalar* W, int k, Team::Member member) const {
    if (slabs_of(member, ++k).empty()) return {};
    return {W + net_.weights[k], net_.cols(k), rows_of(member, k),
            Streams<Scalar>::product(net_.cols(k))};
  }

  // What sum_slabs reads from slab i of layer k on
  Upcoming<Scalar> next_slabs(const Scalar* W, int k, Team::Member member, int i) const {
    if (i == slabs_of(member, k).last) i = slabs_of(member, --k).first;
    const int left = slabs_of(member, k).last - i;
    if (left == 0) return {};
    const int count = std::min(slabs_at_once(k), left);
    return {W + net_.weights[k], net_.cols(k), rows_of(k, {i, i + count}),
            Streams<Scalar>::transposed / slabs_at_once(k) * count};
  }

  // Slabs are passed over in pairs where they are too short for four streams of their own.
  int slabs_at_once(int k) const {
    const int cols = net_.cols(k);
    return cols * int(sizeof(Scalar)) < 2048 && !Streams<Scalar>::short_rows(cols) ? 2 : 1;
  }

  // The sum of a slab of layer k, (cols,)
  Scalar* sum_of_slab(int k, int slab) {
    const Index row = Index(k % 2) * most_slabs_ + slab;  // neighbouring layers take turns
    return sums_.data() + row * stride_;
  }

  template <class Source>
  void pull_layer(Team::Member member, int k, const Scalar* W, const Terms<Scalar>& terms,
                  Vectors<Scalar> u, Source source) {
    const Scalar* x = u.at(net_, k);
    Scalar* y = u.at(net_, k - 1);
    if (slabs(k) == 1) {
      if (!slabs_of(member, k).empty()) multiply_alone(k, W, terms, x, y, source);
      member.barrier();
      return;
    }
    sum_slabs(member, k, W, x);
    member.barrier();
    // A thread needs u_{k-1} on its rows of the next layer; there all of them.
    const Rows next = rows_of(member, k - 1);
    if (!next.empty()) add_up(k, next, terms.of_layer(net_, k), x, y, source);
    if (k == 1) member.barrier();
  }

  // The sums of the member's slabs of layer k
  void sum_slabs(Team::Member member, int k, const Scalar* W, const Scalar* x) {
    const int cols = net_.cols(k), shortest = net_.rows(k) / slabs(k);
    const auto mine = slabs_of(member, k);
    const auto sum = [&](auto count, auto streams, int i) {
      constexpr int R = decltype(count)::value, S = decltype(streams)::value;
      Rows slab[R];
      Scalar* sums[R];
      for (int r = 0; r < R; ++r) {
        slab[r] = rows_of(k, {i + r, i + r + 1});
        sums[r] = sum_of_slab(k, i + r);
        std::fill_n(sums[r], cols, Scalar(0));
      }
      add_transposed_slabs<R, S>(cols, W + net_.weights[k], slab, shortest / S, x, sums,
                                 next_slabs(W, k, member, i + R));
    };
    constexpr int all = Streams<Scalar>::transposed, half = all / 2;
    if (slabs_at_once(k) == 2) {
      detail::for_each_block_of<2>(mine.first, mine.last, [&](auto count, int i) {
        sum(count, std::integral_constant<int, half>{}, i);
      });
    } else {
      detail::for_each_block_of<1>(mine.first, mine.last, [&](auto count, int i) {
        sum(count, std::integral_constant<int, all>{}, i);
      });
    }
  }

  // y = W^T x + a, by one thread
  template <class Source>
  void multiply_alone(int k, const Scalar* W, const Terms<Scalar>& terms, const Scalar* x,
                      Scalar* y, Source source) {
    const int rows = net_.rows(k), cols = net_.cols(k);
    const Scalar* layer = W + net_.weights[k];
    std::fill_n(y, cols, Scalar(0));
    source(k - 1, 0, cols, y);
    if (cols <= largest_narrow) {
      using One = Pack<Scalar, 1>;
      transposed_product(rows, cols, reinterpret_cast<const One*>(layer),
                         reinterpret_cast<const One*>(x), reinterpret_cast<One*>(y), true);
    } else {
      add_transposed_rows(cols, layer, {0, rows}, x, y);
    }
    const LayerTerms<Scalar> layer_terms = terms.of_layer(net_, k);
    add_terms(layer_terms, layer_terms.u, layer_terms.v, rows, x, {0, cols}, y);
  }

  // y = the sums of all slabs, sum_s c_s (u^s . x) v^s and a_{k-1}, on some entries
  template <class Source>
  void add_up(int k, const Rows& entries, const LayerTerms<Scalar>& terms, const Scalar* x,
              Scalar* y, Source source) {
    const int count = slabs(k);
    Scalar c[largest_slabs + terms_capacity];
    const Scalar* part[largest_slabs + terms_capacity];
    for (int slab = 0; slab < count; ++slab) {
      c[slab] = 1;
      part[slab] = sum_of_slab(k, slab);
    }
    coefficients(terms, terms.u, net_.rows(k), x, c + count);
    std::copy_n(terms.v, terms.count, part + count);
    set_to_combination(count + terms.count, entries.first, entries.last, c, part, y);
    source(k - 1, entries.first, entries.last, y);
  }

  template <class Source, class Multiply>
  void push_layer(Team::Member member, int k, const Terms<Scalar>& terms, Vectors<Scalar> v,
                  Source source, Multiply multiply) {
    const Rows rows = rows_of(member, k);
    if (!rows.empty()) {
      const Scalar* x = v.at(net_, k - 1);
      Scalar* y = v.at(net_, k);
      multiply(rows, x, y);
      const auto layer = terms.of_layer(net_, k);
      add_terms(layer, layer.v, layer.u, net_.cols(k), x, rows, y);
      source(k, rows.first, rows.last, y);
    }
    member.barrier();
  }

  // c_s (a^s . x) of all terms; a^s and x (n,)
  static void coefficients(const LayerTerms<Scalar>& terms, const Scalar* const* a, int n,
                           const Scalar* x, Scalar* out) {
    wide_dots(terms.count, n, a, x, out);
    for (int s = 0; s < terms.count; ++s) out[s] *= terms.coefficient[s];
  }

  // y += sum_s c_s (a^s . x) b^s on some entries; a^s and x (n,)
  static void add_terms(const LayerTerms<Scalar>& terms, const Scalar* const* a,
                        const Scalar* const* b, int n, const Scalar* x, const Rows& entries,
                        Scalar* y) {
    Scalar c[terms_capacity];
    coefficients(terms, a, n, x, c);
    add_multiples(terms.count, entries.first, entries.last, c, b, y);
  }

  const Layout& net_;
  Team& team_;
  int most_slabs_ = 1, stride_ = 0;
  AlignedVector<Scalar> sums_;
};

}  // namespace deeplinear
