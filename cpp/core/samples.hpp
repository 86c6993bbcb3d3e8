// The risk as a mean over the samples, for networks that are no linear map:
//
//   a_0 = x,   z_k = W_k a_{k-1},   a_k = s(z_k)  (k < L),   f = p^T W_L a_{L-1},
//   R = (1/n) sum_i (f(x_i) - y_i)^2.
#pragma once

#include <vector>

#include "activation.hpp"

namespace deeplinear {

struct SampleSet {
  std::vector<double> inputs;   // X (n, d), row by row
  std::vector<double> targets;  // y (n,)

  int count() const { return int(targets.size()); }
};

struct Samples {
  Activation activation = Activation::identity;
  SampleSet train;  // empty where the network is a linear map, and the risk a function of it
  SampleSet test;   // may be empty
};

}  // namespace deeplinear
