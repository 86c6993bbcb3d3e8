// Risk, gradient and Hessian products of one network whose risk is a mean over samples, at given
// weights. Column i of every matrix belongs to sample i:
//
//   A_0 = X^T (d, n),   Z_k = W_k A_{k-1},   A_k = s(Z_k)  (k < L),
//   q = W_L^T p,   f = A_{L-1}^T q,   g = (2/n) (f - y)  (n,),
//   B_{L-1} = q g^T,   D_k = s'(Z_k) o B_k,   B_{k-1} = W_k^T D_k,
//   grad_k = D_k A_{k-1}^T  (k < L),   grad_L = p (A_{L-1} g)^T,   o entry by entry.
#pragma once

#include <cmath>
#include <vector>

#include "landscape.hpp"

namespace deeplinear {

class SampleLandscape {
 public:
  using Matrix = Eigen::MatrixXd;
  using Vector = Eigen::VectorXd;
  static constexpr bool by_samples = true;

  // Of one thread, whatever the team
  SampleLandscape(const Problem& problem, Team&)
      : problem_(problem),
        net_(problem.net),
        p_(Eigen::Map<const Vector>(problem.readout.data(), Eigen::Index(problem.readout.size()))),
        layers_(net_.depth()) {
    layers_[0].A = inputs(problem.samples.train);
  }

  // The weights must outlive what is asked for next; no terms wait to be added to them.
  void evaluate(const Weights& W) {
    W_ = W.values;
    const int depth = net_.depth();
    for (int k = 1; k < depth; ++k) {
      Layer& layer = layers_[k];
      layer.A.noalias() = weights(k) * layers_[k - 1].A;
      apply_activation(layer);
    }
    q_.noalias() = weights(depth).transpose() * p_;
    const Eigen::Map<const Vector> y(problem_.samples.train.targets.data(), samples());
    const Vector error = layers_[depth - 1].A.transpose() * q_ - y;
    risk_ = error.squaredNorm() / double(samples());
    g_ = error * (2.0 / double(samples()));
    for (int k = depth - 1; k >= 1; --k) {
      Layer& layer = layers_[k];
      if (k == depth - 1) {
        layer.B.noalias() = q_ * g_.transpose();
      } else {
        layer.B.noalias() = weights(k + 1).transpose() * layers_[k + 1].D;
      }
      layer.D = layer.slope.cwiseProduct(layer.B);
    }
  }

  const Problem& problem() const { return problem_; }
  double excess() const { return risk_ - problem_.risk.minimum; }

  // False where a product of the layers overflows.
  bool finite() const {
    bool all = std::isfinite(risk_);
    for (const Layer& layer : layers_) all = all && layer.A.allFinite() && layer.D.allFinite();
    return all;
  }

  void gradient(double* out) const {
    const int depth = net_.depth();
    for (int k = 1; k < depth; ++k) {
      entries(out, k).noalias() = layers_[k].D * layers_[k - 1].A.transpose();
    }
    entries(out, depth).noalias() = p_ * (layers_[depth - 1].A * g_).transpose();
  }

  // H V by differentiating every line above in the direction V, written with a dot:
  //
  //   Z'_k = V_k A_{k-1} + W_k A'_{k-1},   A'_k = s'(Z_k) o Z'_k,
  //   q' = V_L^T p,   g' = (2/n) (A_{L-1}^T q' + A'_{L-1}^T q),
  //   B'_{L-1} = q' g^T + q g'^T,   D'_k = s'(Z_k) o B'_k + s''(Z_k) o Z'_k o B_k,
  //   B'_{k-1} = V_k^T D_k + W_k^T D'_k,
  //   (H V)_k = D'_k A_{k-1}^T + D_k A'_{k-1}^T,   (H V)_L = p (A_{L-1} g' + A'_{L-1} g)^T.
  void hessian_vector_product(const double* V, double* out) {
    const int depth = net_.depth();
    for (int k = 1; k < depth; ++k) {
      Layer& layer = layers_[k];
      layer.dZ.noalias() = matrix(V, k) * layers_[k - 1].A;
      if (k > 1) layer.dZ.noalias() += weights(k) * layers_[k - 1].dA;
      layer.dA = layer.slope.cwiseProduct(layer.dZ);
    }
    const Layer& top = layers_[depth - 1];
    const Vector dq = matrix(V, depth).transpose() * p_;
    Vector dg = top.A.transpose() * dq;
    Vector sum = Vector::Zero(dq.size());
    if (depth > 1) {
      dg.noalias() += top.dA.transpose() * q_;
      sum.noalias() = top.dA * g_;
    }
    dg *= 2.0 / double(samples());
    sum.noalias() += top.A * dg;
    entries(out, depth).noalias() = p_ * sum.transpose();
    for (int k = depth - 1; k >= 1; --k) {
      Layer& layer = layers_[k];
      if (k == depth - 1) {
        dB_.noalias() = dq * g_.transpose();
        dB_.noalias() += q_ * dg.transpose();
      } else {
        dB_.noalias() = matrix(V, k + 1).transpose() * layers_[k + 1].D;
        dB_.noalias() += weights(k + 1).transpose() * dD_;
      }
      dD_ = layer.slope.cwiseProduct(dB_) +
            layer.curvature.cwiseProduct(layer.dZ).cwiseProduct(layer.B);
      auto product = entries(out, k);
      product.noalias() = dD_ * layers_[k - 1].A.transpose();
      if (k > 1) product.noalias() += layer.D * layers_[k - 1].dA.transpose();
    }
  }

  // Mean squared error on the test data
  double test_risk() const {
    const SampleSet& test = problem_.samples.test;
    Layer layer;
    layer.A = inputs(test);
    for (int k = 1; k < net_.depth(); ++k) {
      layer.A = (weights(k) * layer.A).eval();
      apply_activation(layer);
    }
    const Eigen::Map<const Vector> y(test.targets.data(), test.count());
    return (layer.A.transpose() * q_ - y).squaredNorm() / double(test.count());
  }

  // w = W_1^T .. W_L^T p (d,), of a linear network
  Vector end_to_end() const {
    Vector w = q_;
    for (int k = net_.depth() - 1; k >= 1; --k) w = (weights(k).transpose() * w).eval();
    return w;
  }

  // |w - w*|^2, of a linear network
  double squared_distance() const {
    const auto& minimizer = problem_.risk.minimizer;
    const Eigen::Map<const Vector> w(minimizer.data(), Eigen::Index(minimizer.size()));
    return (end_to_end() - w).squaredNorm();
  }

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

  // A = s(Z) in place of Z, and its derivatives
  void apply_activation(Layer& layer) const {
    layer.slope.resizeLike(layer.A);
    layer.curvature.resizeLike(layer.A);
    activate(problem_.samples.activation, layer.A.size(), layer.A.data(), layer.slope.data(),
             layer.curvature.data());
  }

  const Problem& problem_;
  const Layout& net_;
  const Vector p_;
  const double* W_ = nullptr;
  std::vector<Layer> layers_;  // k = 0 .. L-1
  Vector q_, g_;
  Matrix dB_, dD_;
  double risk_ = 0;
};

}  // namespace deeplinear
