#include "probes.hpp"

#include <algorithm>
#include <atomic>

#include <Eigen/SVD>

#include "lanczos.hpp"

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
    multiply_rows(cols, W_.data(), x.data() + rows, 0, rows, y.data());
    y.tail(cols).setZero();
    add_transposed_rows(cols, W_.data(), x.data(), 0, rows, y.data() + rows);
  }

 private:
  const RowMatrix& W_;
  Team alone_{1};
};

// By Lanczos, for layers whose other singular values would cost most of the work
LayerSpectrum first_two_by_lanczos(const RowMatrix& W, const std::function<bool()>& interrupted) {
  LayerOperator H(W);
  LanczosOptions options;
  options.tolerance = 1e-10;
  options.interrupted = interrupted;
  Eigen::MatrixXd locked(H.size(), 0);
  options.locked = &locked;
  const Eigenpair first = extreme_eigenpair(H, options);
  locked = first.vector;
  options.norm = std::max(first.norm, std::abs(first.value));
  if (first.next.size() > 0) options.start = &first.next;
  const Eigenpair second = extreme_eigenpair(H, options);
  LayerSpectrum spectrum;
  spectrum.first = std::max(first.value, 0.0);
  spectrum.second = std::clamp(second.value, 0.0, spectrum.first);
  spectrum.left = first.vector.head(W.rows()).normalized();
  spectrum.right = first.vector.tail(W.cols()).normalized();
  return spectrum;
}

LayerSpectrum layer_spectrum(const RowMatrix& W, const std::function<bool()>& interrupted) {
  constexpr Eigen::Index largest_dense = 160;
  if (std::min(W.rows(), W.cols()) > largest_dense) return first_two_by_lanczos(W, interrupted);
  constexpr unsigned thin = Eigen::ComputeThinU | Eigen::ComputeThinV;
  LayerSpectrum spectrum;
  const auto fill = [&](const auto& svd) {
    spectrum.first = svd.singularValues()[0];
    if (svd.singularValues().size() > 1) spectrum.second = svd.singularValues()[1];
    spectrum.left = svd.matrixU().col(0);
    spectrum.right = svd.matrixV().col(0);
  };
  // One-sided Jacobi is the more accurate, divide and conquer the faster on larger layers.
  if (std::max(W.rows(), W.cols()) <= 32) {
    fill(Eigen::JacobiSVD<Eigen::MatrixXd>(W, thin));
  } else {
    fill(Eigen::BDCSVD<Eigen::MatrixXd>(W, thin));
  }
  return spectrum;
}

}  // namespace

std::vector<LayerSpectrum> layer_spectra(const Layout& net, const Weights& weights, Team& team,
                                         const std::function<bool()>& interrupted) {
  std::vector<LayerSpectrum> spectra(net.depth());
  std::atomic<bool> stop{false};
  team.run([&](Team::Member member) {
    // The leader alone may ask.
    const auto stopped = [&] {
      if (member.index == 0 && interrupted()) stop.store(true, std::memory_order_relaxed);
      return stop.load(std::memory_order_relaxed);
    };
    const auto [first, last] = member.share(net.depth());
    for (int k = first; k < last && !stopped(); ++k) {
      spectra[k] = layer_spectrum(weights.layer(net, k + 1), stopped);
    }
  });
  return spectra;
}

double balancedness(const Layout& net, const Weights& weights) {
  double largest = 0;
  for (int k = 1; k < net.depth(); ++k) {
    const RowMatrix lower = weights.layer(net, k), upper = weights.layer(net, k + 1);
    const Eigen::MatrixXd difference = upper.transpose() * upper - lower * lower.transpose();
    largest = std::max(largest, difference.norm());
  }
  return largest;
}

}  // namespace deeplinear
