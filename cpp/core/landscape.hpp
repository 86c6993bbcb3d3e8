// Landscape: risk, gradient, Hessian products and Hessian trace of a linear network at given
// weights.
#pragma once

#include <algorithm>
#include <cmath>
#include <vector>

#include <Eigen/Core>

#include "memory.hpp"
#include "risk.hpp"
#include "samples.hpp"
#include "wide_chain.hpp"

namespace deeplinear {

// The network, its fixed readout, and the risk: of its end-to-end map, or of the samples where
// there are some.
struct Problem {
  Layout net;
  std::vector<double> readout;  // p (d_L,)
  Risk risk;
  Samples samples = {};

  bool by_samples() const { return samples.train.count() > 0; }
};

// u_L = p, for a pack or a number
template <class Number>
inline void set_readout(const Problem& problem, Number* u) {
  Number* top = u + problem.net.vectors[problem.net.depth()];
  for (std::size_t i = 0; i < problem.readout.size(); ++i) {
    if constexpr (std::is_floating_point_v<Number>) {
      top[i] = Number(problem.readout[i]);
    } else {
      top[i] = Number(typename Number::Scalar(problem.readout[i]));
    }
  }
}

using RowMatrix = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

// Weights (P,) in memory, and the rank-one terms that are to be added to them
struct Weights {
  const double* values = nullptr;
  Terms<double> terms = {};

  // W_k in memory of its own
  RowMatrix layer(const Layout& net, int k) const {
    RowMatrix W = Eigen::Map<const RowMatrix>(values + net.weights[k], net.rows(k), net.cols(k));
    const LayerTerms<double> layer = terms.of_layer(net, k);
    using ConstVector = Eigen::Map<const Eigen::VectorXd>;
    for (int s = 0; s < layer.count; ++s) {
      W.noalias() += layer.coefficient[s] * ConstVector(layer.u[s], net.rows(k)) *
                     ConstVector(layer.v[s], net.cols(k)).transpose();
    }
    return W;
  }
};

// The chain u, v at weights that must outlive it, and what follows from it.
class Landscape {
 public:
  static constexpr bool by_samples = false;
  using Index = Layout::Index;

  Landscape(const Problem& problem, Team& team)
      : problem_(problem),
        net_(problem.net),
        risk_(problem.risk),
        chain_(problem.net, team),
        u_(net_.coordinates),
        v_(net_.coordinates) {
    set_readout(problem, u_.data());
  }

  // pull and push at the weights
  void evaluate(const Weights& W) {
    W_ = W;
    pull(u_.data());
    excess_ = risk_.gradient(number(u_), number(v_)).lane(0);
    push(v_.data());
  }

  // False where a product of the layers overflows.
  bool finite() const {
    const auto is_finite = [](double x) { return std::isfinite(x); };
    return std::all_of(u_.begin(), u_.end(), is_finite) &&
           std::all_of(v_.begin(), v_.end(), is_finite);
  }

  double excess() const { return excess_; }
  const Weights& weights() const { return W_; }
  const double* end_to_end() const { return u_.data(); }
  const double* u(int k) const { return u_.data() + net_.vectors[k]; }
  const double* v(int k) const { return v_.data() + net_.vectors[k]; }
  const Problem& problem() const { return problem_; }
  const RiskEvaluator<Pack<double, 1>>& risk() const { return risk_; }
  WideChain<double>& chain() { return chain_; }

  template <class Source = NoSource>
  void pull(double* u, Source source = {}) {
    chain_.pull(W_.values, W_.terms, u, source);
  }
  template <class Source = NoSource>
  void push(double* v, Source source = {}) {
    chain_.push(W_.values, W_.terms, v, source);
  }

  // y = 2 C x, x and y (d,)
  void multiply_covariance(const double* x, double* y) const {
    using Number = Pack<double, 1>;
    risk_.multiply_covariance(reinterpret_cast<const Number*>(x), reinterpret_cast<Number*>(y));
  }

  // grad_k = u_k v_{k-1}^T
  void gradient(double* out) {
    chain_.for_each_layer([&](int k) {
      double* entry = out + net_.weights[k];
      for (int i = 0; i < net_.rows(k); ++i) {
        for (int j = 0; j < net_.cols(k); ++j) *entry++ = u(k)[i] * v(k - 1)[j];
      }
    });
  }

  // (H V)_k = du_k v_{k-1}^T + u_k dv_{k-1}^T, where
  // du_{k-1} = V_k^T u_k + W_k^T du_k,  dv_0 = 2 C du_0,  dv_k = V_k v_{k-1} + W_k dv_{k-1}.
  void hessian_vector_product(const double* V, double* out) {
    const auto size = std::size_t(net_.coordinates);
    AlignedVector<double> du(size), dv(size), below(size), above(size);
    chain_.for_each_layer([&](int k) {
      const int rows = net_.rows(k), cols = net_.cols(k);
      const double* Vk = V + net_.weights[k];
      add_transposed_rows(cols, Vk, u(k), 0, rows, below.data() + net_.vectors[k - 1]);
      multiply_rows(cols, Vk, v(k - 1), 0, rows, above.data() + net_.vectors[k]);
    });
    const auto adds = [&](const AlignedVector<double>& from) {
      return [&](int k, int first, int last, double* y) {
        for (int i = first; i < last; ++i) y[i] += from[std::size_t(net_.vectors[k] + i)];
      };
    };
    pull(du.data(), adds(below));
    multiply_covariance(du.data(), dv.data());
    push(dv.data(), adds(above));
    chain_.for_each_layer([&](int k) {
      double* entry = out + net_.weights[k];
      const double* left = du.data() + net_.vectors[k];
      const double* right = dv.data() + net_.vectors[k - 1];
      for (int i = 0; i < net_.rows(k); ++i) {
        for (int j = 0; j < net_.cols(k); ++j) {
          *entry++ = left[i] * v(k - 1)[j] + u(k)[i] * right[j];
        }
      }
    });
  }

 private:
  static Pack<double, 1>* number(AlignedVector<double>& x) {
    return reinterpret_cast<Pack<double, 1>*>(x.data());
  }

  const Problem& problem_;
  const Layout& net_;
  RiskEvaluator<Pack<double, 1>> risk_;
  WideChain<double> chain_;
  Weights W_;
  double excess_ = 0;
  AlignedVector<double> u_, v_;
};

}  // namespace deeplinear
