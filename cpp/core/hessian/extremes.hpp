// The extreme eigenvalues of the Hessian over all weights, and its spectral density.
#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>
#include <vector>

#include "eigen/lanczos.hpp"
#include "hessian/compressed.hpp"
#include "landscape/by_samples.hpp"
#include "landscape/linear.hpp"
#include "threads/stop.hpp"

namespace deeplinear {

// A unit direction in the space of the weights: compressed where it lies in the range of the
// Hessian of a linear network, (P,) numbers otherwise.
struct Direction {
  CompressedDirection compressed;
  Eigen::VectorXd dense;

  bool empty() const { return dense.size() == 0 && compressed.coordinates.size() == 0; }

  // Whether it is a direction of this network
  bool fits(const Layout& net) const {
    if (dense.size() > 0) return dense.size() == net.parameters;
    const auto size = 2 * net.coordinates - net.widths.front() - net.widths.back();
    return compressed.uhat.size() == net.coordinates && compressed.vhat.size() == net.coordinates &&
           compressed.coordinates.size() == size;
  }

  // NaN where there is none
  void expand(const Layout& net, double* V) const {
    if (empty()) {
      std::fill_n(V, net.parameters, std::numeric_limits<double>::quiet_NaN());
    } else if (dense.size() > 0) {
      std::copy_n(dense.data(), net.parameters, V);
    } else {
      compressed.expand(net, V);
    }
  }
};

struct Sharpness {
  double value = 0;
  double residual = 0;
  std::int64_t products = 0;
  bool converged = true;
  Direction vector = {};
};

// The `count` algebraically largest (or smallest) eigenvalues at the weights at which the landscape
// was evaluated, the extreme one first, with repeated ones as often as they are there; fewer where
// there are not so many weights, or Ctrl-C came. start is a first guess of the first vector, or
// null.
std::vector<Sharpness> extreme_eigenvalues(Landscape& landscape, int count, LanczosOptions options,
                                           const Direction* start = nullptr);
std::vector<Sharpness> extreme_eigenvalues(SampleLandscape& landscape, int count,
                                           LanczosOptions options,
                                           const Direction* start = nullptr);

template <class AnyLandscape>
inline Sharpness extreme_eigenvalue(AnyLandscape& landscape, const LanczosOptions& options,
                                    const Direction* start = nullptr) {
  return extreme_eigenvalues(landscape, 1, options, start).front();
}

// Of the diagonal block of layer k
Sharpness largest_of_layer(SampleLandscape& landscape, int k, const LanczosOptions& options);

// Gauss quadrature of the spectral measure of random vectors by Lanczos (stochastic Lanczos
// quadrature; Golub and Meurant 2010, Lin, Saad and Yang 2016): column i has the nodes and weights
// of vector i. The weights of a column have the sum dimension / P in expectation; what is left to
// one is the share of the eigenvalue zero.
struct SpectralDensity {
  Eigen::MatrixXd nodes, weights;  // (steps, vectors)
  double zeros = 0;                // (P - dimension) / P
};

SpectralDensity spectral_density(Landscape& landscape, int vectors, int steps, std::uint64_t seed,
                                 Stop& stop);
SpectralDensity spectral_density(SampleLandscape& landscape, int vectors, int steps,
                                 std::uint64_t seed, Stop& stop);

}  // namespace deeplinear
