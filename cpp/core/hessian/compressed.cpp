#include "hessian/compressed.hpp"

#include <algorithm>
#include <limits>

#include <Eigen/Householder>

namespace deeplinear {
namespace {

using Index = Layout::Index;
using Vector = Eigen::VectorXd;
using Matrix = Eigen::MatrixXd;

}  // namespace

void CompressedDirection::expand(const Layout& net, double* V) const {
  Layout::Index at = 0;
  for (int k = 1; k <= net.depth(); ++k) {
    const int rows = net.rows(k), cols = net.cols(k);
    const double *alpha = coordinates.data() + at, *beta = alpha + rows;
    LayerDyads<double> Vk;
    Vk.add(1, alpha, vhat.data() + net.vectors[k - 1]);
    Vk.add(1, uhat.data() + net.vectors[k], beta);
    Vk.write_to(rows, cols, V + net.weights[k]);
    at += rows + cols;
  }
}

CompressedHessian::CompressedHessian(Landscape& landscape)
    : landscape_(landscape), net_(landscape.problem().net) {
  du_ = Vector::Zero(net_.coordinates);
  dv_ = Vector::Zero(net_.coordinates);
  inner_.assign(net_.depth() + 1, 0.0);
  uhat_ = Vector::Zero(net_.coordinates);
  vhat_ = Vector::Zero(net_.coordinates);
  norm_u_.assign(net_.depth() + 1, 0.0);
  norm_v_.assign(net_.depth() + 1, 0.0);
  for (int k = 0; k <= net_.depth(); ++k) {
    norm_u_[k] = normalize(landscape.u(k), k, uhat_);
    norm_v_[k] = normalize(landscape.v(k), k, vhat_);
    if (k == 0) continue;
    alpha_.push_back(size_);
    size_ += net_.rows(k);
    beta_.push_back(size_);
    size_ += net_.cols(k);
  }
  for (int k = 1; k <= net_.depth(); ++k) {
    if (norm_v_[k - 1] > 0) dimension_ += net_.rows(k) - (norm_u_[k] > 0 ? 1 : 0);
    if (norm_u_[k] > 0) dimension_ += net_.cols(k);
  }
}

void CompressedHessian::project(Eigen::Ref<Vector> x) const {
  landscape_.chain().for_each_layer([&](int k) {
    auto alpha = x.segment(alpha_[k - 1], net_.rows(k));
    if (norm_v_[k - 1] > 0) {
      alpha -= uhat(k) * uhat(k).dot(alpha);
    } else {
      alpha.setZero();
    }
    if (norm_u_[k] == 0) x.segment(beta_[k - 1], net_.cols(k)).setZero();
  });
}

// y = H x for x in the subspace. With V_k^T u_k = |u_k| beta_k and
// V_k v_{k-1} = |v_{k-1}| alpha_k + uhat_k (beta_k . v_{k-1}), the result of layer k is
// a vhat^T + uhat b^T, a = |v_{k-1}| du_k, b = |u_k| dv_{k-1}; then alpha = a - uhat (uhat . a),
// beta = b + vhat (uhat . a). Without the curvature of the risk, 2 C = 0: the residual part of H.
void CompressedHessian::apply(const Eigen::Ref<const Vector>& x, Eigen::Ref<Vector> y,
                              bool curvature) {
  const int depth = net_.depth();
  landscape_.chain().for_each_layer([&](int k) {
    inner_[k] = norm_v_[k - 1] * vhat(k - 1).dot(x.segment(beta_[k - 1], net_.cols(k)));
  });
  part(du_, depth).setZero();
  landscape_.pull(du_.data(), [&](int k, int first, int last, double* sum) {
    const double* beta = x.data() + beta_[k];
    for (int i = first; i < last; ++i) sum[i] += norm_u_[k + 1] * beta[i];
  });
  if (curvature) {
    landscape_.multiply_covariance(du_.data(), dv_.data());
  } else {
    part(dv_, 0).setZero();
  }
  landscape_.push(dv_.data(), [&](int k, int first, int last, double* sum) {
    const double *alpha = x.data() + alpha_[k - 1], *u = uhat_.data() + net_.vectors[k];
    for (int i = first; i < last; ++i) sum[i] += norm_v_[k - 1] * alpha[i] + inner_[k] * u[i];
  });
  landscape_.chain().for_each_layer([&](int k) {
    auto alpha = y.segment(alpha_[k - 1], net_.rows(k));
    auto beta = y.segment(beta_[k - 1], net_.cols(k));
    alpha = norm_v_[k - 1] * part(du_, k);
    const double inner = uhat(k).dot(alpha);
    alpha -= inner * uhat(k);
    beta = norm_u_[k] * part(dv_, k - 1) + inner * vhat(k - 1);
  });
}

Vector CompressedHessian::compress(const double* V) const {
  Vector x = Vector::Zero(size_);
  landscape_.chain().for_each_layer([&](int k) {
    const int rows = net_.rows(k), cols = net_.cols(k);
    const double* Vk = V + net_.weights[k];
    multiply(rows, cols, Vk, vhat(k - 1).data(), x.data() + alpha_[k - 1]);
    add_transposed(rows, cols, Vk, uhat(k).data(), x.data() + beta_[k - 1]);
  });
  project(x);
  return x;
}

Vector CompressedHessian::compress(const CompressedDirection& V) const {
  Vector x(size_);
  for (int k = 1; k <= net_.depth(); ++k) {
    const int rows = net_.rows(k), cols = net_.cols(k);
    const auto alpha = V.coordinates.segment(alpha_[k - 1], rows);
    const auto beta = V.coordinates.segment(beta_[k - 1], cols);
    const auto left = V.uhat.segment(net_.vectors[k], rows);
    const auto right = V.vhat.segment(net_.vectors[k - 1], cols);
    x.segment(alpha_[k - 1], rows) = alpha * right.dot(vhat(k - 1)) + left * beta.dot(vhat(k - 1));
    x.segment(beta_[k - 1], cols) = right * alpha.dot(uhat(k)) + beta * left.dot(uhat(k));
  }
  project(x);
  return x;
}

Vector CompressedHessian::gradient() const {
  Vector x = Vector::Zero(size_);
  for (int k = 1; k <= net_.depth(); ++k) {
    x.segment(beta_[k - 1], net_.cols(k)) = norm_u_[k] * norm_v_[k - 1] * vhat(k - 1);
  }
  return x;
}

Vector CompressedHessian::gradient_of_map(const Eigen::Ref<const Vector>& x_0) {
  part(dv_, 0) = x_0;
  landscape_.push(dv_.data());
  Vector x = Vector::Zero(size_);
  for (int k = 1; k <= net_.depth(); ++k) {
    x.segment(beta_[k - 1], net_.cols(k)) = norm_u_[k] * part(dv_, k - 1);
  }
  return x;
}

Matrix CompressedHessian::basis() const {
  Matrix Q = Matrix::Zero(size_, dimension_);
  Index column = 0;
  for (int k = 1; k <= net_.depth(); ++k) {
    if (norm_v_[k - 1] > 0) {
      const int n = net_.rows(k), skip = norm_u_[k] > 0 ? 1 : 0;
      Q.block(alpha_[k - 1], column, n, n - skip) = complement(uhat(k)).rightCols(n - skip);
      column += n - skip;
    }
    if (norm_u_[k] > 0) {
      Q.block(beta_[k - 1], column, net_.cols(k), net_.cols(k)).setIdentity();
      column += net_.cols(k);
    }
  }
  return Q;
}

Matrix CompressedHessian::matrix(const Matrix& Q, Stop& stop) {
  Matrix H = Matrix::Zero(dimension_, dimension_);
  Vector y(size_);
  for (Index j = 0; j < dimension_ && !stop.poll(); ++j) {
    apply(Q.col(j), y);
    H.col(j).noalias() = Q.transpose() * y;
  }
  return (H + H.transpose()) / 2;
}

void CompressedHessian::null_direction(Index index, double* V) const {
  std::fill(V, V + net_.parameters, 0.0);
  for (int k = 1; k <= net_.depth(); ++k) {
    const int rows = net_.rows(k), cols = net_.cols(k);
    const int left = rows - (norm_u_[k] > 0 ? 1 : 0), right = cols - (norm_v_[k - 1] > 0 ? 1 : 0);
    const Index here = Index(left) * right;
    if (index >= here) {
      index -= here;
      continue;
    }
    Eigen::Map<RowMatrix> Vk(V + net_.weights[k], rows, cols);
    Vk = complement(uhat(k)).col(rows - 1 - index / right) *
         complement(vhat(k - 1)).col(cols - 1 - index % right).transpose();
    return;
  }
}

double CompressedHessian::normalize(const double* x, int k, Vector& xhat) const {
  const Eigen::Map<const Vector> vector(x, net_.widths[k]);
  const double norm = vector.stableNorm();
  if (!(norm >= std::numeric_limits<double>::min())) return 0;
  part(xhat, k) = vector / norm;
  return norm;
}

Matrix CompressedHessian::complement(const Eigen::Ref<const Vector>& x) {
  Matrix Q = Matrix::Identity(x.size(), x.size());
  if (x.isZero(0) || x.size() == 1) return Q;
  Vector essential(x.size() - 1), workspace(x.size());
  double tau, beta;
  x.makeHouseholder(essential, tau, beta);
  Q.applyHouseholderOnTheLeft(essential, tau, workspace.data());
  return Q;
}

}  // namespace deeplinear
