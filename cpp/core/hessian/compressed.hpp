// The Hessian in compressed coordinates.
//
// Its range lies in V_k = alpha_k vhat_{k-1}^T + uhat_k beta_k^T, with uhat = u / |u|, vhat = v /
// |v| and alpha_k orthogonal to uhat_k. Then |V|^2 = sum_k |alpha_k|^2 + |beta_k|^2: the
// coordinates (alpha_k, beta_k), k = 1 .. L, are an isometry, and the spectrum in them is that of
// the Hessian but for zeros. Where u_k = 0 there is no beta_k and alpha_k is free; where v_{k-1} =
// 0 there is no alpha_k.
#pragma once

#include <vector>

#include <Eigen/Core>

#include "landscape/linear.hpp"
#include "threads/stop.hpp"

namespace deeplinear {

// A direction in the range: layer k is alpha_k vhat_{k-1}^T + uhat_k beta_k^T.
struct CompressedDirection {
  Eigen::VectorXd uhat, vhat;   // a vector of each width, one after another
  Eigen::VectorXd coordinates;  // alpha_1, beta_1, .. alpha_L, beta_L

  // As an array V (P,)
  void expand(const Layout& net, double* V) const;
};

class CompressedHessian {
 public:
  using Index = Layout::Index;
  using Vector = Eigen::VectorXd;
  using Matrix = Eigen::MatrixXd;

  explicit CompressedHessian(Landscape& landscape);

  Index size() const { return size_; }            // stored numbers: sum_k d_k + d_{k-1}
  Index dimension() const { return dimension_; }  // of the subspace that they range over

  Team& team() const { return landscape_.chain().team(); }

  // x (size,) onto the subspace: alpha_k orthogonal to uhat_k, absent parts zero
  void project(Eigen::Ref<Vector> x) const;

  // y = H x for x in the subspace; without the curvature of the risk, the residual part of H alone
  void apply(const Eigen::Ref<const Vector>& x, Eigen::Ref<Vector> y, bool curvature = true);

  CompressedDirection direction(const Eigen::Ref<const Vector>& x) const {
    return {uhat_, vhat_, x};
  }

  // The coordinates (size,) of a direction V (P,), as far as it lies in the range
  Vector compress(const double* V) const;

  // The same for a direction in the range at other weights
  Vector compress(const CompressedDirection& V) const;

  // grad_k = u_k v_{k-1}^T: beta_k = |u_k| v_{k-1} and alpha_k = 0
  Vector gradient() const;

  // beta_k = |u_k| A_k x_0 and alpha_k = 0, A_k = W_{k-1} .. W_1: the gradient of x_0 . w(W)
  Vector gradient_of_map(const Eigen::Ref<const Vector>& x_0);

  // Orthonormal columns (size, dimension) that span the subspace
  Matrix basis() const;

  // Q^T H Q (dimension, dimension) in the basis Q; unfinished where it was stopped
  Matrix matrix(const Matrix& Q, Stop& stop);

  // The unit direction V (P,), of the P - dimension that are orthogonal to each other and to the
  // range: in some layer x y^T, x orthogonal to u_k and y to v_{k-1}.
  void null_direction(Index index, double* V) const;

 private:
  // xhat = x / |x|, or zero where |x| is too small to be divided by; returns |x| or zero
  double normalize(const double* x, int k, Vector& xhat) const;

  // An orthogonal matrix (n, n) whose first column is +-x for a unit vector x, the identity for x =
  // 0
  static Matrix complement(const Eigen::Ref<const Vector>& x);

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
