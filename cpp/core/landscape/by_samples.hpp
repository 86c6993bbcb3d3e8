// Risk, gradient and Hessian products of one network whose risk is a mean over samples, at given
// weights, by the threads of a team. Row i of every matrix belongs to sample i:
//
//   A_0 = X (n, d),   Z_k = A_{k-1} W_k^T,   A_k = s(Z_k)  (k < L),
//   q = W_L^T p,   f = A_{L-1} q,   g = l'(f, y) / n  (n,),
//   B_{L-1} = g q^T,   D_k = s'(Z_k) o B_k,   B_{k-1} = D_k W_k,
//   grad_k = D_k^T A_{k-1}  (k < L),   grad_L = p (A_{L-1}^T g)^T,   o entry by entry.
#pragma once

#include <vector>

#include "blocks/block_numbers.hpp"
#include "blocks/block_weights.hpp"
#include "blocks/gradient_sums.hpp"
#include "landscape/linear.hpp"

namespace deeplinear {

class SampleLandscape {
 public:
  using Matrix = Eigen::MatrixXd;
  using Vector = Eigen::VectorXd;
  static constexpr bool by_samples = true;

  SampleLandscape(const Problem& problem, Team& team);

  // The weights must outlive what is asked for next; no dyads wait to be added to them.
  void evaluate(const Weights& W);

  const Problem& problem() const { return problem_; }
  Team& team() const { return team_; }
  double excess() const { return risk_ - problem_.risk.minimum; }

  // False where a product of the layers overflows.
  bool finite() const;

  void gradient(double* out);

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
  using Rows = PanelRows<double>;
  using Numbers = Panels<double>;

  // Of layer k < L: A_k, s'(Z_k), D_k, s''(Z_k) o B_k; and in the direction of a product A'_k, D'_k
  struct Layer {
    Numbers A, slope, D, curvature, dA, dD;
  };

  Layer& layer(int k) { return layers_[std::size_t(k)]; }
  const Layer& layer(int k) const { return layers_[std::size_t(k)]; }

  Eigen::Map<const RowMatrix> weights(int k) const {
    return {W_ + net_.weights[k], net_.rows(k), net_.cols(k)};
  }
  Eigen::Map<RowMatrix> entries(double* to, int k) const {
    return {to + net_.weights[k], net_.rows(k), net_.cols(k)};
  }

  // A matrix (n, cols) transposed, a column per sample
  Matrix columns(const Numbers& of, int cols) const;
  Matrix activations(int k) const {
    return columns(k > 0 ? layer(k).A : numbers_.inputs, net_.widths[k]);
  }

  // A_{k-1} and D_k, where D_L = g, and the same with a prime, of the samples from `first` on
  Rows below(int k, int first = 0) const {
    return (k > 1 ? layer(k - 1).A : numbers_.inputs).from(first);
  }
  Rows back(int k, int first = 0) const { return (k < net_.depth() ? layer(k).D : g_).from(first); }
  Rows changes_below(int k, int first = 0) const { return layer(k - 1).dA.from(first); }
  Rows changes_back(int k, int first = 0) const {
    return (k < net_.depth() ? layer(k).dD : dg_).from(first);
  }

  void pass_forward(int first, int last);
  void pass_back(int first, int last);
  void differentiate(int first, int last);

  // D^(1/2) J of some samples as columns, (P, count); delta_k and A_{k-1} at [k - 1]
  Matrix jacobian(const std::vector<Matrix>& delta, const std::vector<Matrix>& A,
                  Eigen::Index first, Eigen::Index count) const;

  const Problem& problem_;
  Team& team_;
  const BlockNumbers<double> numbers_;
  const Shape& net_;
  const double* W_ = nullptr;
  BlockWeights<double> weights_, direction_;
  GradientSums<double> sums_;
  std::vector<Layer> layers_;  // k = 1 .. L-1
  Numbers g_, dg_, f_;         // g, g' and f (n, 1); g' once it was asked for
  Vector curvature_;           // l''(f, y) / n
  double risk_ = 0;
};

}  // namespace deeplinear
