// Landscape: risk, gradient, Hessian products and Hessian trace of a linear network at given
// weights.
#pragma once

#include <vector>

#include <Eigen/Core>

#include "model/problem.hpp"
#include "model/weights.hpp"
#include "risk/evaluator.hpp"
#include "simd/aligned_array.hpp"
#include "wide/chain.hpp"

namespace deeplinear {

using RowMatrix = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

// W_k in memory of its own
RowMatrix dense_layer(const Layout& net, const Weights& W, int k);

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
    set_readout(problem, u_.data() + net_.vectors[net_.depth()]);
  }

  // pull and push at the weights
  void evaluate(const Weights& W);

  // False where a product of the layers overflows.
  bool finite() const;

  double excess() const { return excess_; }
  const Weights& weights() const { return W_; }
  const double* end_to_end() const { return u_.data(); }
  const double* u(int k) const { return u_.data() + net_.vectors[k]; }
  const double* v(int k) const { return v_.data() + net_.vectors[k]; }
  const Problem& problem() const { return problem_; }
  RiskEvaluator<Pack<double, 1>>& risk() { return risk_; }
  WideChain<double>& chain() { return chain_; }

  template <class Source = NoSource>
  void pull(double* u, Source source = {}) {
    chain_.pull(W_.values, W_.dyads, u, source);
  }
  template <class Source = NoSource>
  void push(double* v, Source source = {}) {
    chain_.push(W_.values, W_.dyads, v, source);
  }

  // y = 2 C x, x and y (d,)
  void multiply_covariance(const double* x, double* y) {
    using Number = Pack<double, 1>;
    risk_.curvature(reinterpret_cast<const Number*>(x), reinterpret_cast<Number*>(y));
  }

  // grad_k = u_k v_{k-1}^T
  void gradient(double* out);

  // H V, both (P,)
  void hessian_vector_product(const double* V, double* out);

 private:
  // out = D, out (P,)
  void write(const Dyads<double>& D, double* out);

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
