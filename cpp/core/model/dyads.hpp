// Dyads: gradients and updates of the weights of all layers as the vectors that they are made of.
//
// The gradient of the risk is K_k = u_k v_{k-1}^T at layer k = 1 .. L, u_k (d_k,) and v_{k-1}
// (d_{k-1},): an outer product, which is never formed. What steps add to the weights is a sum of
// such gradients,
//
//   D_k = sum_s c_s u^s_k (v^s_{k-1})^T   (d_k, d_{k-1}),   s < count.
//
// A product with D_k takes 2 count (d_k + d_{k-1}) operations for the 2 d_k d_{k-1} of a layer.
#pragma once

#include <algorithm>

#include "model/layout.hpp"
#include "simd/pack.hpp"

namespace deeplinear {

// A vector of every width d_0 .. d_L, as of Layout::vectors; or one of `count` whose vectors of the
// same width lie side by side: what a layer needs of all of them is then one stream of memory.
template <class Number>
struct Vectors {
  Number* data;
  int count, place;

  Vectors() = default;
  Vectors(Number* data_, int count_ = 1, int place_ = 0)
      : data(data_), count(count_), place(place_) {}

  // (d_k,)
  Number* at(const Layout& net, int k) const {
    return data + count * net.vectors[k] + Layout::Index(place) * net.widths[k];
  }
  operator Vectors<const Number>() const { return {data, count, place}; }
};

// to = from, the vectors of all widths; both in the order of their widths
template <class Number>
inline void copy_vectors(const Layout& net, Vectors<const Number> from, Vectors<Number> to) {
  for (int k = 0; k <= net.depth(); ++k) {
    std::copy_n(from.at(net, k), net.widths[k], to.at(net, k));
  }
}

// D_k of one layer: sum_s c_s u^s (v^s)^T, u^s (rows,) and v^s (cols,)
template <class Number, class Factor = Number>
struct LayerDyads {
  static constexpr int capacity = 16;
  int count = 0;
  Factor coefficient[capacity];
  const Number* u[capacity];
  const Number* v[capacity];

  // Leaves what lies beyond count alone.
  LayerDyads() {}

  void add(Factor c, const Number* u_, const Number* v_) {
    coefficient[count] = c;
    u[count] = u_;
    v[count++] = v_;
  }

  // W += D_k, or W = D_k where `onto` is false, W (rows, cols) row by row: the one way into dense
  // memory outside of a step. The dyads are added one after another; read(x) is the number of W's
  // kind that an entry x of a vector stands for.
  template <class Entry, class Read>
  void add_to(int rows, int cols, Entry* W, Read read, bool onto = true) const {
    for (int s = 0; s < count; ++s, onto = true) {
      Entry* entry = W;
      for (int i = 0; i < rows; ++i) {
        const Entry factor = Entry(coefficient[s]) * read(u[s][i]);
        for (int j = 0; j < cols; ++j, ++entry) {
          const Entry term = factor * read(v[s][j]);
          *entry = onto ? *entry + term : term;
        }
      }
    }
  }
  template <class Entry>
  void add_to(int rows, int cols, Entry* W) const {
    add_to(rows, cols, W, [](const Number& x) { return Entry(x); });
  }
  template <class Entry>
  void write_to(int rows, int cols, Entry* W) const {
    add_to(rows, cols, W, [](const Number& x) { return Entry(x); }, false);
  }

  // to = W + D_k as the steps of a large network add it up: rounded once per dyad, in its precision
  template <class Entry>
  void fold(int rows, int cols, const Number* W, Entry* to) const {
    using One = Pack<Number, 1>;
    for (int i = 0; i < rows; ++i) {
      for (int j = 0; j < cols; ++j) {
        One w(*W++);
        for (int s = 0; s < count; ++s) w = fma(One(coefficient[s] * u[s][i]), One(v[s][j]), w);
        *to++ = Entry(w.lane(0));
      }
    }
  }
};

// D_k of all layers. Vectors of packs lie alone, and kernels of an ensemble read them at an offset
// from u[s].data.
template <class Number, class Factor = Number>
struct Dyads {
  using Layer = LayerDyads<Number, Factor>;
  static constexpr int capacity = Layer::capacity;
  int count = 0;
  Factor coefficient[capacity];
  Vectors<const Number> u[capacity];
  Vectors<const Number> v[capacity];

  // Leaves what lies beyond count alone: a pull without dyads need not clear it.
  Dyads() {}

  void add(Factor c, Vectors<const Number> u_, Vectors<const Number> v_) {
    coefficient[count] = c;
    u[count] = u_;
    v[count++] = v_;
  }

  Layer layer(const Layout& net, int k) const {
    Layer D;
    for (int s = 0; s < count; ++s) {
      D.add(coefficient[s], u[s].at(net, k), v[s].at(net, k - 1));
    }
    return D;
  }

  // W += D, W (P,)
  template <class Entry, class... Read>
  void add_to(const Layout& net, Entry* W, Read... read) const {
    for (int k = 1; k <= net.depth(); ++k) {
      layer(net, k).add_to(net.rows(k), net.cols(k), W + net.weights[k], read...);
    }
  }
};

}  // namespace deeplinear
