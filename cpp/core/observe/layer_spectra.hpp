// What can be recorded of one network beside its risk: the spectrum of its layers.
#pragma once

#include <cmath>
#include <vector>

#include <Eigen/Core>

#include "landscape/linear.hpp"
#include "threads/stop.hpp"

namespace deeplinear {

// The first two singular values of a layer, and the singular vectors of the first.
struct LayerSpectrum {
  double first = 0, second = 0;
  Eigen::VectorXd left, right;
};

// Layer by layer over the threads of the team; what is stopped is not finished.
std::vector<LayerSpectrum> layer_spectra(const Layout& net, const Weights& weights, Team& team,
                                         Stop& stop);

// sigma_2 / sigma_1, zero for a layer that is zero or has one singular value
inline double rank_one_gap(const LayerSpectrum& spectrum) {
  return spectrum.first > 0 ? spectrum.second / spectrum.first : 0;
}

// |u_k . v_{k+1}|: first left singular vector of W_k, first right one of W_{k+1}
inline double alignment(const LayerSpectrum& lower, const LayerSpectrum& upper) {
  return std::abs(lower.left.dot(upper.right));
}

// max_k |W_{k+1}^T W_{k+1} - W_k W_k^T| (Frobenius), zero for a single layer
double balancedness(const Layout& net, const Weights& weights, Stop& stop);

}  // namespace deeplinear
