// Risk, gradient and Hessian products of one network whose risk is a mean over samples, at given
// weights. Column i of every matrix belongs to sample i:
//
//   A_0 = X^T (d, n),   Z_k = W_k A_{k-1},   A_k = s(Z_k)  (k < L),
//   q = W_L^T p,   f = A_{L-1}^T q,   g = l'(f, y) / n  (n,),
//   B_{L-1} = q g^T,   D_k = s'(Z_k) o B_k,   B_{k-1} = W_k^T D_k,
//   grad_k = D_k A_{k-1}^T  (k < L),   grad_L = p (A_{L-1} g)^T,   o entry by entry.
#pragma once

#include <vector>

#include "landscape/linear.hpp"

namespace deeplinear {

class SampleLandscape {
 public:
  using Matrix = Eigen::MatrixXd;
  using Vector = Eigen::VectorXd;
  static constexpr bool by_samples = true;

  // Of one thread, whatever the team
  SampleLandscape(const Problem& problem, Team&);

  // The weights must outlive what is asked for next; no dyads wait to be added to them.
  void evaluate(const Weights& W);

  const Problem& problem() const { return problem_; }
  double excess() const { return risk_ - problem_.risk.minimum; }

  // False where a product of the layers overflows.
  bool finite() const;

  void gradient(double* out) const;

  // H V, both (P,)
  void hessian_vector_product(const double* V, double* out);

  // The Gauss-Newton part of the Hessian, J^T D J (P, P), J = df/dW and D = diag(l'') / n; or where
  // there are more weights than samples D^(1/2) J J^T D^(1/2) (n, n), which has the same
  // eigenvalues but for zeros. Row i of J is made of delta_k a_{k-1}^T at sample i, where
  // delta_L = p, delta_{L-1} = s'(z_{L-1}) o q and delta_{k-1} = s'(z_{k-1}) o W_k^T delta_k.
  Matrix gauss_newton_matrix() const;

  // On the test data
  double test_risk() const;

  // w = W_1^T .. W_L^T p (d,), of a linear network
  Vector end_to_end() const;

  // |w - w*|^2, of a linear network
  double squared_distance() const;

 private:
  // Of layer k: A_k, s'(Z_k), s''(Z_k), B_k, D_k, and the derivatives Z'_k, A'_k; (d_k, n)
  struct Layer {
    Matrix A, slope, curvature, B, D, dZ, dA;
  };

  Eigen::Index samples() const { return problem_.samples.train.count(); }

  Matrix inputs(const SampleSet& set) const {
    return Eigen::Map<const Matrix>(set.inputs.data(), net_.widths[0], set.count());
  }

  Eigen::Map<const RowMatrix> matrix(const double* from, int k) const {
    return {from + net_.weights[k], net_.rows(k), net_.cols(k)};
  }
  Eigen::Map<const RowMatrix> weights(int k) const { return matrix(W_, k); }
  Eigen::Map<RowMatrix> entries(double* to, int k) const {
    return {to + net_.weights[k], net_.rows(k), net_.cols(k)};
  }

  // D^(1/2) J of some samples as columns, (P, count); delta_k at [k - 1]
  Matrix jacobian(const std::vector<Matrix>& delta, Eigen::Index first, Eigen::Index count) const;

  // A = s(Z) in place of Z, and its derivatives
  void apply_activation(Layer& layer) const;

  const Problem& problem_;
  const Layout& net_;
  const Vector p_;
  const double* W_ = nullptr;
  std::vector<Layer> layers_;  // k = 0 .. L-1
  Vector q_, g_, dg_;          // dg = l''(f, y) / n
  Matrix dB_, dD_;
  double risk_ = 0;
};

}  // namespace deeplinear
