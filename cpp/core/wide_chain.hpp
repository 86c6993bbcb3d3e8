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
          multiply_rows(net_.cols(k), W + net_.weights[k], rows, x, y,
                        upcoming(W, k + 1, slabs_of(member, k + 1)));
        });
      }
    });
  }

  // W += the folded terms, and with them in W the push with the other terms.
  void fold_and_push(Scalar* W, const Terms<Scalar>& folded, const Terms<Scalar>& terms,
                     Vectors<Scalar> v) {
    team_.run([&](Team::Member member) {
      for (int k = 1; k <= net_.depth(); ++k) {
        push_layer(member, k, terms, v, NoSource{},
                   [&](const Rows& rows, const Scalar* x, Scalar* y) {
                     const auto layer = folded.of_layer(net_, k);
                     fold_rows(net_.cols(k), W + net_.weights[k], layer, rows, x, y,
                               upcoming(W, k + 1, slabs_of(member, k + 1)));
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

  Upcoming<Scalar> upcoming(const Scalar* W, int k, Team::Range part) const {
    if (part.first == part.last) return {};
    return {W + net_.weights[k], net_.cols(k), rows_of(k, part)};
  }

  // The sum of a slab of layer k, (cols,)
  Scalar* sum_of_slab(int k, int slab) {
    const Index row = Index(k % 2) * most_slabs_ + slab;  // neighbouring layers take turns
    return sums_.data() + row * stride_;
  }

  template <class Source>
  void pull_layer(Team::Member member, int k, const Scalar* W, const Terms<Scalar>& terms,
                  Vectors<Scalar> u, Source source) {
    const int cols = net_.cols(k), count = slabs(k);
    const Scalar* layer = W + net_.weights[k];
    const Scalar* x = u.at(net_, k);
    Scalar* y = u.at(net_, k - 1);
    const auto mine = slabs_of(member, k);
    if (count == 1) {
      if (mine.first < mine.last) multiply_alone(k, layer, terms, x, y, source);
      member.barrier();
      return;
    }
    auto below = slabs_of(member, k - 1);
    below.last = std::min(below.last, below.first + 1);
    for (int slab = mine.first; slab < mine.last; ++slab) {
      Scalar* sum = sum_of_slab(k, slab);
      std::fill_n(sum, cols, Scalar(0));
      const bool more = slab + 1 < mine.last;
      const auto next = more ? upcoming(W, k, {slab + 1, slab + 2}) : upcoming(W, k - 1, below);
      add_transposed_rows(cols, layer, rows_of(k, {slab, slab + 1}), x, sum, next);
    }
    member.barrier();
    // A thread needs u_{k-1} on its rows of the next layer; there all of them.
    const Rows next = rows_of(member, k - 1);
    if (!next.empty()) add_up(k, next, terms.of_layer(net_, k), x, y, source);
    if (k == 1) member.barrier();
  }

  // y = W^T x + a, by one thread
  template <class Source>
  void multiply_alone(int k, const Scalar* layer, const Terms<Scalar>& terms, const Scalar* x,
                      Scalar* y, Source source) {
    const int rows = net_.rows(k), cols = net_.cols(k);
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
