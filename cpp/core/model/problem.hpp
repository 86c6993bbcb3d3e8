// Problem: the network, its fixed readout and the data, as numbers.
#pragma once

#include <type_traits>
#include <vector>

#include "model/functions.hpp"
#include "model/layout.hpp"

namespace deeplinear {

// The modes of the data, F and c of the risk |F w - c|^2, row by row
struct Modes {
  std::vector<double> factor;      // (r, d)
  std::vector<double> transposed;  // F^T (d, r)
  std::vector<double> target;      // (r,)

  bool empty() const { return target.empty(); }
};

// The test risk about the same w*: R_t(w) = R_t(w*) + delta^T C_t delta + 2 delta^T g_t, g_t = C_t
// w* - b_t; or by modes R_t(w) = rest + |F_t w - c_t|^2.
struct TestRisk {
  bool given = false;
  std::vector<double> covariance;     // C_t (d, d)
  std::vector<double> half_gradient;  // g_t (d,)
  double at_minimizer = 0;            // R_t(w*)
  Modes modes;
  double rest = 0;
};

// The form by modes is taken where there is no C, and in float32 wherever there are modes.
struct Risk {
  int dimension = 0;
  std::vector<double> covariance;  // C (d, d)
  Modes modes;
  std::vector<double> minimizer;  // w* (d,)
  double minimum = 0;             // R(w*)
  TestRisk test;

  template <class Scalar>
  bool by_modes() const {
    return !modes.empty() && (covariance.empty() || sizeof(Scalar) < sizeof(double));
  }

  // R(0) - R(w*) = w*^T C w* = |c|^2
  double excess_of_zero() const {
    double sum = 0;
    if (by_modes<double>()) {
      for (const double c : modes.target) sum += c * c;
      return sum;
    }
    const double* entry = covariance.data();
    for (const double left : minimizer) {
      double row = 0;
      for (const double right : minimizer) row += *entry++ * right;
      sum += left * row;
    }
    return sum;
  }
};

// The risk as a mean over the samples, for networks that are no linear map:
//
//   a_0 = x,   z_k = W_k a_{k-1},   a_k = s(z_k)  (k < L),   f = p^T W_L a_{L-1},
//   R = (1/n) sum_i l(f(x_i), y_i), l the squared loss (f - y)^2 or another.
struct SampleSet {
  std::vector<double> inputs;   // X (n, d), row by row
  std::vector<double> targets;  // y (n,)

  int count() const { return int(targets.size()); }
};

struct Samples {
  Activation activation = Activation::identity;
  LossFunction loss = LossFunction::squared;
  SampleSet train;  // empty where the network is a linear map, and the risk a function of it
  SampleSet test;   // may be empty
};

// The network, its fixed readout, and the risk: of its end-to-end map, or of the samples where
// there are some.
struct Problem {
  Layout net;
  std::vector<double> readout;  // p (d_L,)
  Risk risk;
  Samples samples = {};

  bool by_samples() const { return samples.train.count() > 0; }
};

// u_L = p, for packs or numbers
template <class Number>
inline void set_readout(const Problem& problem, Number* last) {
  for (std::size_t i = 0; i < problem.readout.size(); ++i) {
    if constexpr (std::is_floating_point_v<Number>) {
      last[i] = Number(problem.readout[i]);
    } else {
      last[i] = Number(typename Number::Scalar(problem.readout[i]));
    }
  }
}

}  // namespace deeplinear
