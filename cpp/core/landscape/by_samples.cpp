#include "landscape/by_samples.hpp"

#include <algorithm>
#include <cmath>

#include "pointwise/activate.hpp"
#include "pointwise/loss.hpp"

namespace deeplinear {
namespace {

using Vector = Eigen::VectorXd;
using One = Pack<double, 1>;

// (1/n) sum_i l(f_i, y_i)
double mean_loss(LossFunction loss, const Vector& f, const std::vector<double>& y) {
  Vector values(f.size());
  with_loss(loss, [&]<Loss L>(L) {
    for (Eigen::Index i = 0; i < f.size(); ++i) {
      values[i] = L::value(One(f[i]), One(y[std::size_t(i)])).lane(0);
    }
  });
  return values.sum() / double(f.size());
}

}  // namespace

SampleLandscape::SampleLandscape(const Problem& problem, Team&)
    : problem_(problem),
      net_(problem.net),
      p_(Eigen::Map<const Vector>(problem.readout.data(), Eigen::Index(problem.readout.size()))),
      layers_(net_.depth()) {
  layers_[0].A = inputs(problem.samples.train);
}

void SampleLandscape::evaluate(const Weights& W) {
  W_ = W.values;
  const int depth = net_.depth();
  for (int k = 1; k < depth; ++k) {
    Layer& layer = layers_[k];
    layer.A.noalias() = weights(k) * layers_[k - 1].A;
    apply_activation(layer);
  }
  q_.noalias() = weights(depth).transpose() * p_;
  const Vector f = layers_[depth - 1].A.transpose() * q_;
  const auto& y = problem_.samples.train.targets;
  const double share = 1.0 / double(samples());
  risk_ = mean_loss(problem_.samples.loss, f, y);
  g_.resize(f.size());
  dg_.resize(f.size());
  with_loss(problem_.samples.loss, [&]<Loss L>(L) {
    for (Eigen::Index i = 0; i < f.size(); ++i) {
      const One output(f[i]), target(y[std::size_t(i)]);
      g_[i] = L::slope(output, target).lane(0) * share;
      dg_[i] = L::curvature(output, target).lane(0) * share;
    }
  });
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

bool SampleLandscape::finite() const {
  bool all = std::isfinite(risk_);
  for (const Layer& layer : layers_) all = all && layer.A.allFinite() && layer.D.allFinite();
  return all;
}

void SampleLandscape::gradient(double* out) const {
  const int depth = net_.depth();
  for (int k = 1; k < depth; ++k) {
    entries(out, k).noalias() = layers_[k].D * layers_[k - 1].A.transpose();
  }
  entries(out, depth).noalias() = p_ * (layers_[depth - 1].A * g_).transpose();
}

// H V by differentiating every line above in the direction V, written with a dot:
//
//   Z'_k = V_k A_{k-1} + W_k A'_{k-1},   A'_k = s'(Z_k) o Z'_k,
//   q' = V_L^T p,   g' = (l''/n) o (A_{L-1}^T q' + A'_{L-1}^T q),
//   B'_{L-1} = q' g^T + q g'^T,   D'_k = s'(Z_k) o B'_k + s''(Z_k) o Z'_k o B_k,
//   B'_{k-1} = V_k^T D_k + W_k^T D'_k,
//   (H V)_k = D'_k A_{k-1}^T + D_k A'_{k-1}^T,   (H V)_L = p (A_{L-1} g' + A'_{L-1} g)^T.
void SampleLandscape::hessian_vector_product(const double* V, double* out) {
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
  dg = dg.cwiseProduct(dg_).eval();
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

SampleLandscape::Matrix SampleLandscape::gauss_newton_matrix() const {
  const int depth = net_.depth();
  std::vector<Matrix> delta(depth);
  delta[depth - 1] = p_.replicate(1, samples());
  for (int k = depth - 1; k >= 1; --k) {
    delta[k - 1].noalias() = weights(k + 1).transpose() * delta[k];
    delta[k - 1].array() *= layers_[k].slope.array();
  }
  if (samples() > net_.parameters) {
    constexpr Eigen::Index at_once = 64;
    Matrix sum = Matrix::Zero(net_.parameters, net_.parameters);
    for (Eigen::Index first = 0; first < samples(); first += at_once) {
      const Matrix J = jacobian(delta, first, std::min(at_once, samples() - first));
      sum.selfadjointView<Eigen::Lower>().rankUpdate(J);
    }
    return sum;
  }
  Matrix gram = Matrix::Zero(samples(), samples());
  for (int k = 1; k <= depth; ++k) {
    const Matrix &D = delta[k - 1], &A = layers_[k - 1].A;
    gram += (D.transpose() * D).cwiseProduct(A.transpose() * A);
  }
  const Vector root = dg_.cwiseSqrt();
  return root.asDiagonal() * gram * root.asDiagonal();
}

SampleLandscape::Matrix SampleLandscape::jacobian(const std::vector<Matrix>& delta,
                                                  Eigen::Index first, Eigen::Index count) const {
  Matrix J(net_.parameters, count);
  for (Eigen::Index i = 0; i < count; ++i) {
    const double root = std::sqrt(dg_[first + i]);
    for (int k = 1; k <= net_.depth(); ++k) {
      entries(J.col(i).data(), k).noalias() =
          (root * delta[k - 1].col(first + i)) * layers_[k - 1].A.col(first + i).transpose();
    }
  }
  return J;
}

double SampleLandscape::test_risk() const {
  const SampleSet& test = problem_.samples.test;
  Layer layer;
  layer.A = inputs(test);
  for (int k = 1; k < net_.depth(); ++k) {
    layer.A = (weights(k) * layer.A).eval();
    apply_activation(layer);
  }
  return mean_loss(problem_.samples.loss, layer.A.transpose() * q_, test.targets);
}

Vector SampleLandscape::end_to_end() const {
  Vector w = q_;
  for (int k = net_.depth() - 1; k >= 1; --k) w = (weights(k).transpose() * w).eval();
  return w;
}

double SampleLandscape::squared_distance() const {
  const auto& minimizer = problem_.risk.minimizer;
  const Eigen::Map<const Vector> w(minimizer.data(), Eigen::Index(minimizer.size()));
  return (end_to_end() - w).squaredNorm();
}

void SampleLandscape::apply_activation(Layer& layer) const {
  layer.slope.resizeLike(layer.A);
  layer.curvature.resizeLike(layer.A);
  activate(problem_.samples.activation, layer.A.size(), layer.A.data(), layer.slope.data(),
           layer.curvature.data());
}

}  // namespace deeplinear
