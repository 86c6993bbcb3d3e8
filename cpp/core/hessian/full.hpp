// The Hessian over all weights as an operator, for networks whose Hessian has no smaller range.
#pragma once

#include <Eigen/Core>

#include "landscape/by_samples.hpp"
#include "threads/stop.hpp"

namespace deeplinear {

// Over all weights, or over those of one layer: a diagonal block
class FullHessian {
 public:
  using Index = Eigen::Index;
  using Vector = Eigen::VectorXd;
  using Matrix = Eigen::MatrixXd;

  explicit FullHessian(SampleLandscape& landscape)
      : FullHessian(landscape, 0, landscape.problem().net.parameters) {}
  static FullHessian of_layer(SampleLandscape& landscape, int k) {
    const Layout& net = landscape.problem().net;
    return {landscape, net.weights[k], Index(net.rows(k)) * net.cols(k)};
  }

  Index size() const { return size_; }
  Index dimension() const { return size(); }
  void project(Eigen::Ref<Vector>) const {}
  Team& team() const { return landscape_.team(); }

  // y = H x
  void apply(const Eigen::Ref<const Vector>& x, Eigen::Ref<Vector> y) {
    const Index all = landscape_.problem().net.parameters;
    if (size_ == all) return landscape_.hessian_vector_product(x.data(), y.data());
    Vector whole = Vector::Zero(all), product(all);
    whole.segment(first_, size_) = x;
    landscape_.hessian_vector_product(whole.data(), product.data());
    y = product.segment(first_, size_);
  }

  Matrix basis() const { return Matrix::Identity(size(), size()); }

  // H in the basis of the unit vectors, column by column; unfinished where it was stopped
  Matrix matrix(const Matrix& basis, Stop& stop) {
    Matrix H = Matrix::Zero(size(), size());
    for (Index j = 0; j < size() && !stop.poll(); ++j) {
      apply(basis.col(j), H.col(j));
    }
    return (H + H.transpose()) / 2;
  }

  // tr H, a product per weight; unfinished where it was stopped
  double trace(Stop& stop) {
    Vector unit = Vector::Zero(size()), column(size());
    double sum = 0;
    for (Index j = 0; j < size() && !stop.poll(); ++j) {
      unit[j] = 1;
      apply(unit, column);
      sum += column[j];
      unit[j] = 0;
    }
    return sum;
  }

 private:
  FullHessian(SampleLandscape& landscape, Index first, Index size)
      : landscape_(landscape), first_(first), size_(size) {}

  SampleLandscape& landscape_;
  const Index first_, size_;
};

}  // namespace deeplinear
