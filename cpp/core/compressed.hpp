// The Hessian in compressed coordinates.
//
// Its range lies in V_k = alpha_k vhat_{k-1}^T + uhat_k beta_k^T, with uhat = u / |u|, vhat = v /
// |v| and alpha_k orthogonal to uhat_k. Then |V|^2 = sum_k |alpha_k|^2 + |beta_k|^2: the
// coordinates (alpha_k, beta_k), k = 1 .. L, are an isometry, and the spectrum in them is that of
// the Hessian but for zeros. Where u_k = 0 there is no beta_k and alpha_k is free; where v_{k-1} =
// 0 there is no alpha_k.
#pragma once

#include <limits>
#include <vector>

#include <Eigen/Core>
#include <Eigen/Householder>

#include "landscape.hpp"

namespace deeplinear {

// A direction in the range: layer k is alpha_k vhat_{k-1}^T + uhat_k beta_k^T.
struct CompressedDirection {
  Eigen::VectorXd uhat, vhat;   // a vector of each width, one after another
  Eigen::VectorXd coordinates;  // alpha_1, beta_1, .. alpha_L, beta_L

  // As an array V (P,)
  void expand(const Layout& net, double* V) const {
    Layout::Index at = 0;
    for (int k = 1; k <= net.depth(); ++k) {
      const int rows = net.rows(k), cols = net.cols(k);
      Eigen::Map<RowMatrix> Vk(V + net.weights[k], rows, cols);
      const auto alpha = coordinates.segment(at, rows);
      const auto beta = coordinates.segment(at + rows, cols);
      Vk.noalias() = alpha * vhat.segment(net.vectors[k - 1], cols).transpose();
      Vk.noalias() += uhat.segment(net.vectors[k], rows) * beta.transpose();
      at += rows + cols;
    }
  }
};

class CompressedHessian {
 public:
  using Index = Layout::Index;
  using Vector = Eigen::VectorXd;
  using Matrix = Eigen::MatrixXd;

  explicit CompressedHessian(Landscape& landscape)
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

  Index size() const { return size_; }            // stored numbers: sum_k d_k + d_{k-1}
  Index dimension() const { return dimension_; }  // of the subspace that they range over

  Team& team() const { return landscape_.chain().team(); }

  // x (size,) onto the subspace: alpha_k orthogonal to uhat_k, absent parts zero
  void project(Eigen::Ref<Vector> x) const {
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
  void apply(const Eigen::Ref<const Vector>& x, Eigen::Ref<Vector> y, bool curvature = true) {
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

  CompressedDirection direction(const Eigen::Ref<const Vector>& x) const {
    return {uhat_, vhat_, x};
  }

  // The coordinates (size,) of a direction V (P,), as far as it lies in the range
  Vector compress(const double* V) const {
    Vector x = Vector::Zero(size_);
    landscape_.chain().for_each_layer([&](int k) {
      const int rows = net_.rows(k), cols = net_.cols(k);
      const double* Vk = V + net_.weights[k];
      multiply_rows(cols, Vk, vhat(k - 1).data(), 0, rows, x.data() + alpha_[k - 1]);
      add_transposed_rows(cols, Vk, uhat(k).data(), 0, rows, x.data() + beta_[k - 1]);
    });
    project(x);
    return x;
  }

  // The same for a direction in the range at other weights
  Vector compress(const CompressedDirection& V) const {
    Vector x(size_);
    for (int k = 1; k <= net_.depth(); ++k) {
      const int rows = net_.rows(k), cols = net_.cols(k);
      const auto alpha = V.coordinates.segment(alpha_[k - 1], rows);
      const auto beta = V.coordinates.segment(beta_[k - 1], cols);
      const auto left = V.uhat.segment(net_.vectors[k], rows);
      const auto right = V.vhat.segment(net_.vectors[k - 1], cols);
      x.segment(alpha_[k - 1], rows) =
          alpha * right.dot(vhat(k - 1)) + left * beta.dot(vhat(k - 1));
      x.segment(beta_[k - 1], cols) = right * alpha.dot(uhat(k)) + beta * left.dot(uhat(k));
    }
    project(x);
    return x;
  }

  // beta_k = |u_k| A_k x_0 and alpha_k = 0, A_k = W_{k-1} .. W_1: the gradient of x_0 . w(W)
  Vector gradient_of_map(const Eigen::Ref<const Vector>& x_0) {
    part(dv_, 0) = x_0;
    landscape_.push(dv_.data());
    Vector x = Vector::Zero(size_);
    for (int k = 1; k <= net_.depth(); ++k) {
      x.segment(beta_[k - 1], net_.cols(k)) = norm_u_[k] * part(dv_, k - 1);
    }
    return x;
  }

  // Orthonormal columns (size, dimension) that span the subspace
  Matrix basis() const {
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

  // Q^T H Q (dimension, dimension) in the basis Q
  Matrix matrix(const Matrix& Q) {
    Matrix H(dimension_, dimension_);
    Vector y(size_);
    for (Index j = 0; j < dimension_; ++j) {
      apply(Q.col(j), y);
      H.col(j).noalias() = Q.transpose() * y;
    }
    return (H + H.transpose()) / 2;
  }

  // The unit direction V (P,), of the P - dimension that are orthogonal to each other and to the
  // range: in some layer x y^T, x orthogonal to u_k and y to v_{k-1}.
  void null_direction(Index index, double* V) const {
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

 private:
  // xhat = x / |x|, or zero where |x| is too small to be divided by; returns |x| or zero
  double normalize(const double* x, int k, Vector& xhat) const {
    const Eigen::Map<const Vector> vector(x, net_.widths[k]);
    const double norm = vector.stableNorm();
    if (!(norm >= std::numeric_limits<double>::min())) return 0;
    part(xhat, k) = vector / norm;
    return norm;
  }

  // An orthogonal matrix (n, n) whose first column is +-x for a unit vector x, the identity for x =
  // 0
  static Matrix complement(const Eigen::Ref<const Vector>& x) {
    Matrix Q = Matrix::Identity(x.size(), x.size());
    if (x.isZero(0) || x.size() == 1) return Q;
    Vector essential(x.size() - 1), workspace(x.size());
    double tau, beta;
    x.makeHouseholder(essential, tau, beta);
    Q.applyHouseholderOnTheLeft(essential, tau, workspace.data());
    return Q;
  }

  Eigen::VectorBlock<Vector> part(Vector& x, int k) const {
    return x.segment(net_.vectors[k], net_.widths[k]);
  }
  Eigen::VectorBlock<const Vector> uhat(int k) const {
    return uhat_.segment(net_.vectors[k], net_.widths[k]);
  }
  Eigen::VectorBlock<const Vector> vhat(int k) const {
    return vhat_.segment(net_.vectors[k], net_.widths[k]);
  }

  Landscape& landscape_;
  const Layout& net_;
  Index size_ = 0, dimension_ = 0;
  std::vector<Index> alpha_, beta_;  // offsets of alpha_k and beta_k at [k - 1]
  Vector uhat_, vhat_, du_, dv_;     // a vector of each width, one after another
  std::vector<double> norm_u_, norm_v_, inner_;
};

}  // namespace deeplinear
