// The unit in which the products of an operator are computed with: one, or where the first of them
// is far from that a power of two near it, which rounds nothing. Squares may be out of range
// otherwise.
#pragma once

#include <algorithm>
#include <cmath>
#include <utility>

#include <Eigen/Core>

namespace deeplinear {

class ProductUnit {
 public:
  double value() const { return value_; }

  // A product from now on in the unit, which the first one sets
  void apply(Eigen::VectorXd& product) {
    if (std::exchange(first_, false)) {
      const double size = product.cwiseAbs().maxCoeff();
      if (std::isfinite(size) && size > 0 && (size < 0x1p-64 || size > 0x1p64)) {
        value_ = std::exp2(std::clamp(std::ilogb(size), -1000, 1000));
      }
    }
    if (value_ != 1) product *= 1 / value_;
  }

 private:
  double value_ = 1;
  bool first_ = true;
};

}  // namespace deeplinear
