// Weights: those of a run where they are asked for, in float64.
#pragma once

#include <algorithm>

#include "model/dyads.hpp"

namespace deeplinear {

// W + D: W (P,) in memory, and the dyads that are to be added to it
struct Weights {
  const double* values = nullptr;
  Dyads<double> dyads = {};

  // W_k + D_k in memory of its own, (d_k, d_{k-1}) row by row
  void copy_layer(const Layout& net, int k, double* to) const {
    const int rows = net.rows(k), cols = net.cols(k);
    std::copy_n(values + net.weights[k], Layout::Index(rows) * cols, to);
    dyads.layer(net, k).add_to(rows, cols, to);
  }

  // All of them, (P,)
  void copy(const Layout& net, double* to) const {
    for (int k = 1; k <= net.depth(); ++k) copy_layer(net, k, to + net.weights[k]);
  }
};

}  // namespace deeplinear
