#include "observe/layer_spectra.hpp"

#include <algorithm>

#include "eigen/dense.hpp"
#include "eigen/lanczos.hpp"

namespace deeplinear {
namespace {

// The operator [0 W; W^T 0], whose largest eigenvalues are the singular values of W, with the
// vectors (left, right) / sqrt(2)
class LayerOperator {
 public:
  using Vector = Eigen::VectorXd;

  explicit LayerOperator(const RowMatrix& W) : W_(W) {}

  Eigen::Index size() const { return W_.rows() + W_.cols(); }
  Eigen::Index dimension() const { return size(); }
  void project(Eigen::Ref<Vector>) const {}
  Team& team() { return alone_; }

  void apply(const Eigen::Ref<const Vector>& x, Eigen::Ref<Vector> y) {
    const int rows = int(W_.rows()), cols = int(W_.cols());
    multiply(rows, cols, W_.data(), x.data() + rows, y.data());
    y.tail(cols).setZero();
    add_transposed(rows, cols, W_.data(), x.data(), y.data() + rows);
  }

 private:
  const RowMatrix& W_;
  Team alone_{1};
};

// Of the pairs +-sigma the eigensolvers take the positive one, with x = (left, right) / sqrt(2). A
// layer that is zero has any vectors: the first unit ones.
LayerSpectrum from_pairs(const RowMatrix& W, double first, double second,
                         const Eigen::VectorXd& x) {
  LayerSpectrum spectrum;
  spectrum.first = std::max(first, 0.0);
  spectrum.second = std::clamp(second, 0.0, spectrum.first);
  if (spectrum.first == 0) {
    spectrum.left = Eigen::VectorXd::Unit(W.rows(), 0);
    spectrum.right = Eigen::VectorXd::Unit(W.cols(), 0);
  } else {
    spectrum.left = x.head(W.rows()).normalized();
    spectrum.right = x.tail(W.cols()).normalized();
  }
  return spectrum;
}

LayerSpectrum dense(const RowMatrix& W) {
  const Eigen::Index rows = W.rows(), cols = W.cols();
  // Of order one: the eigensolver takes what is small beside one for rounding.
  const double largest = W.cwiseAbs().maxCoeff();
  const double unit = largest > 0 ? largest : 1;
  Eigen::MatrixXd A = Eigen::MatrixXd::Zero(rows + cols, rows + cols);
  A.bottomLeftCorner(cols, rows) = W.transpose() / unit;
  const SymmetricEigen eigen = symmetric_eigen(A);
  const Eigen::Index last = rows + cols - 1;
  const double second = std::min(rows, cols) > 1 ? eigen.values[last - 1] : 0;
  return from_pairs(W, unit * eigen.values[last], unit * second, eigen.vectors.col(last));
}

LayerSpectrum by_lanczos(const RowMatrix& W, Stop& stop) {
  LayerOperator H(W);
  LanczosOptions options;
  options.tolerance = 1e-13;  // close to rounding, as dense solvers are
  options.stop = &stop;
  Eigen::MatrixXd locked(H.size(), 0);
  options.locked = &locked;
  const Eigenpair first = extreme_eigenpair(H, options);
  locked = first.vector;
  options.norm = std::max(first.norm, std::abs(first.value));
  if (first.next.size() > 0) options.start = &first.next;
  const bool alone = std::min(W.rows(), W.cols()) == 1;
  const double second = alone ? 0 : extreme_eigenpair(H, options).value;
  return from_pairs(W, first.value, second, first.vector);
}

LayerSpectrum layer_spectrum(const RowMatrix& W, Stop& stop) {
  constexpr Eigen::Index largest_dense = 64;
  return W.rows() + W.cols() > largest_dense ? by_lanczos(W, stop) : dense(W);
}

}  // namespace

std::vector<LayerSpectrum> layer_spectra(const Layout& net, const Weights& weights, Team& team,
                                         Stop& stop) {
  std::vector<LayerSpectrum> spectra(net.depth());
  team.run([&](Team::Member member) {
    // The leader alone asks whether to stop; the last share, which it has, is not empty.
    const Team::Member place{team, team.size() - 1 - member.index};
    const auto [first, last] = place.share(net.depth());
    for (int k = first; k < last && !stop.poll(); ++k) {
      spectra[k] = layer_spectrum(dense_layer(net, weights, k + 1), stop);
    }
  });
  return spectra;
}

double balancedness(const Layout& net, const Weights& weights, Stop& stop) {
  double largest = 0;
  for (int k = 1; k < net.depth() && !stop.poll(); ++k) {
    const RowMatrix lower = dense_layer(net, weights, k), upper = dense_layer(net, weights, k + 1);
    const Eigen::MatrixXd difference = upper.transpose() * upper - lower * lower.transpose();
    largest = std::max(largest, difference.norm());
  }
  return largest;
}

}  // namespace deeplinear
