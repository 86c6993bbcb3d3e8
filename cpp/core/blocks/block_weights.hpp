// The layers of a network as products with blocks of samples read them: their rows, and their
// columns. The last layer is one row, q = W_L^T p.
#pragma once

#include <algorithm>
#include <vector>

#include "blocks/block_numbers.hpp"
#include "blocks/product.hpp"
#include "pointwise/activate.hpp"

namespace deeplinear {

template <class Scalar>
class BlockWeights {
 public:
  explicit BlockWeights(const Shape& net) : net_(net), layers_(std::size_t(net.depth()) + 1) {
    for (int k = 1; k <= net.depth(); ++k) {
      const int rows = outputs_of(net, k), cols = net.cols(k);
      layers_[std::size_t(k)].columns = Panels<Scalar>(cols, rows);
      if (k > 1) layers_[std::size_t(k)].rows = Panels<Scalar>(rows, cols);
    }
  }

  // A W_k^T, A (n, d_{k-1}), and D W_k, D (n, d_k), k > 1
  RowProduct<Scalar> forward(int k, PanelRows<Scalar> A) const {
    return {A, layers_[std::size_t(k)].columns.from(0)};
  }
  RowProduct<Scalar> back(int k, PanelRows<Scalar> D) const {
    return {D, layers_[std::size_t(k)].rows.from(0)};
  }

  // Rows first .. last - 1 of A_k = s(Z_k), Z_k = A_{k-1} W_k^T, with s'(Z_k) and, where curvature
  // is not null, s''(Z_k); of the last layer Z_k alone
  void pass_forward(int k, PanelRows<Scalar> below, Activation activation, int first, int last,
                    Panels<Scalar>& A, Panels<Scalar>& slope,
                    Panels<Scalar>* curvature = nullptr) const {
    multiply<Scalar>(
        first, last, A.shape(), FromZero{}, [&](std::ptrdiff_t at, const auto& z) { A.set(at, z); },
        forward(k, below));
    if (k == net_.depth()) return;
    A.for_each_part(first, last, [&](std::ptrdiff_t place, std::ptrdiff_t count) {
      activate(activation, count, A.data() + place, slope.data() + place,
               curvature ? curvature->data() + place : nullptr);
    });
  }

  // q_j
  Scalar last(int j) const { return *layers_.back().columns.at(j, 0); }

  // The member's part of all layers from W (P,) and p (d_L,)
  void copy(const Team::Member& member, const Scalar* W, const Scalar* readout) {
    const int last = net_.depth();
    for (int k = 1; k < last; ++k) copy_layer(member, k, W + net_.weights[k]);
    W += net_.weights[last];
    const int cols = net_.cols(last);
    Layer& layer = layers_[std::size_t(last)];
    const Team::Range own = member.share(cols);
    for (int j = own.first; j < own.last; ++j) {
      Scalar q = 0;
      for (int i = 0; i < net_.rows(last); ++i) {
        q = multiply_add(readout[i], W[Index(i) * cols + j], q);
      }
      *layer.columns.at(j, 0) = q;
      if (last > 1) *layer.rows.at(0, j) = q;
    }
  }

 private:
  struct Layer {
    Panels<Scalar> rows, columns;  // nothing passes back through the first layer
  };

  void copy_layer(const Team::Member& member, int k, const Scalar* W) {
    Layer& layer = layers_[std::size_t(k)];
    const int cols = net_.cols(k);
    const Team::Range own = member.share(net_.rows(k), rows_in_registers);
    for (int i = own.first; k > 1 && i < own.last; ++i) {
      layer.rows.set_row(i, W + Index(i) * cols);
    }
    // Some rows at a time, whose numbers lie together in a row of a panel
    constexpr int most = rows_in_registers;
    for (int first = own.first; first < own.last; first += most) {
      const int rows = std::min(most, own.last - first);
      for (int j = 0; j < cols; ++j) {
        Scalar* const to = layer.columns.at(j, first);
        for (int i = 0; i < rows; ++i) to[i] = W[Index(first + i) * cols + j];
      }
    }
  }

  const Shape& net_;
  std::vector<Layer> layers_;  // at [k]
};

}  // namespace deeplinear
