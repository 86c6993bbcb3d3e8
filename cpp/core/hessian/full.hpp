// The Hessian over all weights as an operator, for networks whose Hessian has no smaller range.
#pragma once

#include <functional>

#include <Eigen/Core>

#include "landscape/by_samples.hpp"

namespace deeplinear {

class FullHessian {
 public:
  using Index = Eigen::Index;
  using Vector = Eigen::VectorXd;
  using Matrix = Eigen::MatrixXd;

  explicit FullHessian(SampleLandscape& landscape) : landscape_(landscape) {}

  Index size() const { return landscape_.problem().net.parameters; }
  Index dimension() const { return size(); }
  void project(Eigen::Ref<Vector>) const {}
  Team& team() { return alone_; }

  // y = H x
  void apply(const Eigen::Ref<const Vector>& x, Eigen::Ref<Vector> y) {
    landscape_.hessian_vector_product(x.data(), y.data());
  }

  Matrix basis() const { return Matrix::Identity(size(), size()); }

  // H in the basis of the unit vectors, column by column; unfinished where it was interrupted
  Matrix matrix(const Matrix& basis, const std::function<bool()>& interrupted) {
    Matrix H = Matrix::Zero(size(), size());
    for (Index j = 0; j < size() && !(interrupted && interrupted()); ++j) {
      apply(basis.col(j), H.col(j));
    }
    return (H + H.transpose()) / 2;
  }

  // tr H, a product per weight; unfinished where it was interrupted
  double trace(const std::function<bool()>& interrupted) {
    Vector unit = Vector::Zero(size()), column(size());
    double sum = 0;
    for (Index j = 0; j < size() && !(interrupted && interrupted()); ++j) {
      unit[j] = 1;
      apply(unit, column);
      sum += column[j];
      unit[j] = 0;
    }
    return sum;
  }

 private:
  SampleLandscape& landscape_;
  Team alone_{1};
};

}  // namespace deeplinear
