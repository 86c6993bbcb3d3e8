// The two passes over the weights of one run, by the threads of a team:
//
//   pull:  u_{k-1} = W_k^T u_k + a_{k-1},  k = L .. 1      push:  v_k = W_k v_{k-1} + b_k,  k = 1
//   .. L
//
// at weights that are those in memory plus rank-one terms: W_k + sum_s c_s u^s_k (v^s_{k-1})^T.
//
// The rows of a layer are cut into slabs, which go to the threads. In a push a thread computes its
// rows of v_k; in a pull each slab gives a sum of its own, and a thread adds those up where its
// rows of the next layer need them. So every thread reads consecutive memory, the threads meet once
// per layer, and all sums have an order that the number of threads doesn't change.
#pragma once

#include <vector>

#include "layout.hpp"
#include "memory.hpp"
#include "team.hpp"
#include "wide_products.hpp"

namespace deeplinear {

// Rank-one terms of all layers: c_s u^s_k (v^s_{k-1})^T with u^s, v^s as of Layout::vectors
template <class Scalar>
struct Terms {
  static constexpr int capacity = LayerTerms<Scalar>::capacity;
  int count = 0;
  Scalar coefficient[capacity];
  const Scalar* u[capacity];
  const Scalar* v[capacity];

  void add(Scalar c, const Scalar* u_, const Scalar* v_) {
    coefficient[count] = c;
    u[count] = u_;
    v[count++] = v_;
  }

  LayerTerms<Scalar> of_layer(const Layout& net, int k) const {
    LayerTerms<Scalar> layer;
    layer.count = count;
    for (int s = 0; s < count; ++s) {
      layer.coefficient[s] = coefficient[s];
      layer.u[s] = u[s] + net.vectors[k];
      layer.v[s] = v[s] + net.vectors[k - 1];
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
      if (slabs(k) > 1) stride_ = std::max(stride_, net.cols(k) + terms_capacity);
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
  void pull(const Scalar* W, const Terms<Scalar>& terms, Scalar* u, Source source = {}) {
    team_.run([&](Team::Member member) {
      for (int k = net_.depth(); k >= 1; --k) pull_layer(member, k, W, terms, u, source);
    });
  }

  // v_k for k = 1 .. L - 1 from v_0. source(k, first, last, y) adds b_k to y on first .. last.
  template <class Source = NoSource>
  void push(const Scalar* W, const Terms<Scalar>& terms, Scalar* v, Source source = {}) {
    team_.run([&](Team::Member member) {
      for (int k = 1; k < net_.depth(); ++k) {
        push_layer(member, k, terms, v, source,
                   [&](const Scalar* x, int first, int last, Scalar* y) {
                     const Index offset = net_.weights[k];
                     multiply_rows(net_.cols(k), W + offset, x, first, last, y,
                                   rows_from(member, W, k + 1));
                   });
      }
    });
  }

  // W += the folded terms, and with them in W the push with the other terms.
  void fold_and_push(Scalar* W, const Terms<Scalar>& folded, const Terms<Scalar>& terms,
                     Scalar* v) {
    team_.run([&](Team::Member member) {
      for (int k = 1; k <= net_.depth(); ++k) {
        push_layer(member, k, terms, v, NoSource{},
                   [&](const Scalar* x, int first, int last, Scalar* y) {
                     const Index offset = net_.weights[k];
                     fold_rows(net_.cols(k), W + offset, folded.of_layer(net_, k), x, first, last,
                               y, rows_from(member, W, k + 1));
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
  int slab_start(int k, int slab) const { return int(Index(net_.rows(k)) * slab / slabs(k)); }

  // The member's rows of layer k; of the vector u_0 for k = 0
  Team::Range rows_of(Team::Member member, int k) const {
    if (k == 0) return member.share(net_.widths[0], detail::line_bytes / int(sizeof(Scalar)));
    const auto [first, last] = member.share(slabs(k));
    return {slab_start(k, first), slab_start(k, last)};
  }

  Upcoming<Scalar> rows_from(Team::Member member, const Scalar* W, int k) const {
    if (k < 1 || k > net_.depth()) return {};
    const Index first = rows_of(member, k).first;
    return {W + net_.weights[k] + first * net_.cols(k), net_.cols(k)};
  }

  // The sum of a slab of layer k, (cols,), and after it u^s . x of its rows for every term
  Scalar* sum_of_slab(int k, int slab) {
    const Index row = Index(k % 2) * most_slabs_ + slab;  // neighbouring layers take turns
    return sums_.data() + row * stride_;
  }

  template <class Source>
  void pull_layer(Team::Member member, int k, const Scalar* W, const Terms<Scalar>& terms,
                  Scalar* u, Source source) {
    const int rows = net_.rows(k), cols = net_.cols(k), count = slabs(k);
    const Scalar* layer = W + net_.weights[k];
    const Scalar* x = u + net_.vectors[k];
    Scalar* y = u + net_.vectors[k - 1];
    const LayerTerms<Scalar> layer_terms = terms.of_layer(net_, k);
    if (count == 1) {
      if (member.index == 0) {
        std::fill_n(y, cols, Scalar(0));
        source(k - 1, 0, cols, y);
        if (cols <= largest_narrow) {
          using One = Pack<Scalar, 1>;
          transposed_product(rows, cols, reinterpret_cast<const One*>(layer),
                             reinterpret_cast<const One*>(x), reinterpret_cast<One*>(y), true);
        } else {
          add_transposed_rows(cols, layer, x, 0, rows, y, rows_from(member, W, k - 1));
        }
        add_terms(layer_terms, layer_terms.u, layer_terms.v, rows, x, 0, cols, y);
      }
      member.barrier();
      return;
    }
    const auto mine = member.share(count);
    for (int slab = mine.first; slab < mine.last; ++slab) {
      const int first = slab_start(k, slab), last = slab_start(k, slab + 1);
      Scalar* sum = sum_of_slab(k, slab);
      std::fill_n(sum, cols, Scalar(0));
      const auto next = slab + 1 < mine.last ? Upcoming<Scalar>{layer + Index(last) * cols, cols}
                                             : rows_from(member, W, k - 1);
      add_transposed_rows(cols, layer, x, first, last, sum, next);
      const Scalar* part[terms_capacity];
      for (int s = 0; s < terms.count; ++s) part[s] = layer_terms.u[s] + first;
      wide_dots(terms.count, last - first, part, x + first, sum + cols);
    }
    member.barrier();
    // A thread needs u_{k-1} on its rows of the next layer; there all of them.
    const auto [first, last] = rows_of(member, k - 1);
    if (first < last) {
      std::fill(y + first, y + last, Scalar(0));
      source(k - 1, first, last, y);
      add_sums(k, layer_terms, first, last, y);
    }
    if (k == 1) member.barrier();
  }

  // y += the sums of all slabs and the terms, on first .. last
  void add_sums(int k, const LayerTerms<Scalar>& terms, int first, int last, Scalar* y) {
    const int cols = net_.cols(k), count = slabs(k);
    Scalar one[largest_slabs], c[terms_capacity];
    const Scalar *sum[largest_slabs], *part[terms_capacity];
    for (int slab = 0; slab < count; ++slab) {
      one[slab] = 1;
      sum[slab] = sum_of_slab(k, slab) + first;
    }
    add_multiples(count, last - first, one, sum, y + first);
    for (int s = 0; s < terms.count; ++s) {
      c[s] = 0;
      for (int slab = 0; slab < count; ++slab) c[s] += sum_of_slab(k, slab)[cols + s];
      c[s] *= terms.coefficient[s];
      part[s] = terms.v[s] + first;
    }
    add_multiples(terms.count, last - first, c, part, y + first);
  }

  template <class Source, class Multiply>
  void push_layer(Team::Member member, int k, const Terms<Scalar>& terms, Scalar* v, Source source,
                  Multiply multiply) {
    const auto [first, last] = rows_of(member, k);
    if (first < last) {
      const Scalar* x = v + net_.vectors[k - 1];
      Scalar* y = v + net_.vectors[k];
      multiply(x, first, last, y);
      const auto layer = terms.of_layer(net_, k);
      add_terms(layer, layer.v, layer.u, net_.cols(k), x, first, last, y);
      source(k, first, last, y);
    }
    member.barrier();
  }

  // y += sum_s c_s (a^s . x) b^s on first .. last; a^s and x (n,)
  static void add_terms(const LayerTerms<Scalar>& terms, const Scalar* const* a,
                        const Scalar* const* b, int n, const Scalar* x, int first, int last,
                        Scalar* y) {
    if (terms.count == 0) return;
    Scalar c[terms_capacity];
    const Scalar* part[terms_capacity];
    wide_dots(terms.count, n, a, x, c);
    for (int s = 0; s < terms.count; ++s) {
      c[s] *= terms.coefficient[s];
      part[s] = b[s] + first;
    }
    add_multiples(terms.count, last - first, c, part, y + first);
  }

  const Layout& net_;
  Team& team_;
  int most_slabs_ = 1, stride_ = 0;
  AlignedVector<Scalar> sums_;
};

}  // namespace deeplinear
