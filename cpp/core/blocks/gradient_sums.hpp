// The gradients of a network's layers as sums over samples, D_k^T A_{k-1}, which threads share by
// rows.
#pragma once

#include <algorithm>
#include <vector>

#include "blocks/block_numbers.hpp"
#include "blocks/product.hpp"

namespace deeplinear {

// Of layer k (rows, d_{k-1}), k = 1 .. L, where the last layer has one row
template <class Scalar>
class GradientSums {
 public:
  explicit GradientSums(const Shape& net) : net_(net), layers_(std::size_t(net.depth()) + 1) {
    for (int k = 1; k <= net.depth(); ++k) {
      layers_[std::size_t(k)] = Panels<Scalar>(outputs_of(net, k), net.cols(k));
      units_ += units(k);
    }
  }

  // The member's part of: the sum of each layer, or nothing where it is `fresh`, += the products
  // that products(k, add) hands to add
  template <class Products>
  void add(const Team::Member& member, bool fresh, const Products& products) {
    for_each_part(member, [&](int k, int first, int last) {
      Panels<Scalar>& sums = layers_[std::size_t(k)];
      products(k, [&](const auto&... product) {
        multiply<Scalar>(
            first, last, sums.shape(),
            [&](std::ptrdiff_t at, const auto& none) { return fresh ? none : sums.get(at); },
            [&](std::ptrdiff_t at, const auto& sum) { sums.set(at, sum); }, product...);
      });
    });
  }

  // The member's part of: out (P,), where the gradient of the last layer is p times its row
  void write(const Team::Member& member, const Scalar* readout, Scalar* out) const {
    for (int k = 1; k <= net_.depth(); ++k) {
      const int cols = net_.cols(k);
      const Team::Range own = member.share(net_.rows(k));
      for (int i = own.first; i < own.last; ++i) {
        Scalar* const to = out + net_.weights[k] + Index(i) * cols;
        const Panels<Scalar>& sum = layers_[std::size_t(k)];
        if (k < net_.depth()) {
          sum.get_row(i, to);
        } else {
          sum.get_row(0, to);
          for (int j = 0; j < cols; ++j) to[j] = readout[i] * to[j];
        }
      }
    }
  }

 private:
  static constexpr int unit = rows_in_registers;

  int units(int k) const { return (outputs_of(net_, k) + unit - 1) / unit; }

  // Calls body(k, first, last) for the member's rows of each layer where it has some.
  template <class Body>
  void for_each_part(const Team::Member& member, Body body) const {
    const Team::Range own = member.share(units_);
    int before = 0;
    for (int k = 1; k <= net_.depth(); before += units(k++)) {
      const int first = std::clamp(own.first - before, 0, units(k)) * unit;
      const int last =
          std::min(std::clamp(own.last - before, 0, units(k)) * unit, outputs_of(net_, k));
      if (first < last) body(k, first, last);
    }
  }

  const Shape& net_;
  std::vector<Panels<Scalar>> layers_;  // at [k]
  int units_ = 0;
};

}  // namespace deeplinear
