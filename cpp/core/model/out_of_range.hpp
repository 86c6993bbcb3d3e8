// Whether the products of the layers can be represented: over thousands of layers they over- or
// underflow where the layers don't keep the size of a vector.
#pragma once

#include <algorithm>
#include <cmath>
#include <limits>

#include "model/layout.hpp"

namespace deeplinear {

// The layer k, counted from 1, from whose product W_k^T u_k on the range fails; 0 where it doesn't.
struct RangeFailure {
  enum Kind { none, overflow, underflow } kind = none;
  int layer = 0;
};

// Looks at the u_k of a pull. W(n) is the n-th weight and u(k, i) the i-th number of u_k as double,
// of runs in the precision Scalar. Numbers whose squares overflow are too large for a risk; those
// below the smallest normal number have lost their digits, unless the product is zero as it stands.
template <class Scalar, class Weight, class Number>
RangeFailure range_failure(const Layout& net, bool risk_is_finite, Weight W, Number u) {
  const double most = std::sqrt(double(std::numeric_limits<Scalar>::max()));
  const double least = double(std::numeric_limits<Scalar>::min());
  const auto largest = [&](int k) {
    double size = 0;
    for (int i = 0; i < net.widths[k]; ++i) {
      const double x = std::abs(u(k, i));
      if (!(x <= size)) size = x;  // NaN as well
    }
    return size;
  };
  const auto underflows = [&](int k) {
    bool any = false;
    for (int i = 0; i < net.rows(k); ++i) {
      const double x = u(k, i);
      if (x == 0) continue;
      for (int j = 0; j < net.cols(k); ++j) {
        const double w = W(net.weights[k] + Layout::Index(i) * net.cols(k) + j);
        if (std::abs(w * x) >= least) return false;
        any = any || w != 0;
      }
    }
    return any;
  };
  for (int k = net.depth(); k >= 1; --k) {
    const double size = largest(k - 1);
    if (!risk_is_finite && !(size <= most)) return {RangeFailure::overflow, k};
    if (size < least && underflows(k)) return {RangeFailure::underflow, k};
  }
  if (!risk_is_finite) return {RangeFailure::overflow, 1};
  return {};
}

}  // namespace deeplinear
