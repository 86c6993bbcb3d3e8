#include "probes.hpp"

#include <algorithm>

#include <Eigen/SVD>

namespace deeplinear {
namespace {

LayerSpectrum layer_spectrum(const Eigen::Ref<const RowMatrix>& W) {
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

std::vector<LayerSpectrum> layer_spectra(const Layout& net, const Weights& weights) {
  std::vector<LayerSpectrum> spectra;
  for (int k = 1; k <= net.depth(); ++k) spectra.push_back(layer_spectrum(weights.layer(net, k)));
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
