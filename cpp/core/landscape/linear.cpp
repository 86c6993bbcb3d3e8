#include "landscape/linear.hpp"

#include <algorithm>
#include <cmath>

namespace deeplinear {

RowMatrix Weights::layer(const Layout& net, int k) const {
  RowMatrix W = Eigen::Map<const RowMatrix>(values + net.weights[k], net.rows(k), net.cols(k));
  const LayerTerms<double> layer = terms.of_layer(net, k);
  using ConstVector = Eigen::Map<const Eigen::VectorXd>;
  for (int s = 0; s < layer.count; ++s) {
    W.noalias() += layer.coefficient[s] * ConstVector(layer.u[s], net.rows(k)) *
                   ConstVector(layer.v[s], net.cols(k)).transpose();
  }
  return W;
}

void Weights::copy(const Layout& net, double* out) const {
  for (int k = 1; k <= net.depth(); ++k) {
    Eigen::Map<RowMatrix>(out + net.weights[k], net.rows(k), net.cols(k)) = layer(net, k);
  }
}

void Landscape::evaluate(const Weights& W) {
  W_ = W;
  pull(u_.data());
  excess_ = risk_.gradient(number(u_), number(v_)).lane(0);
  push(v_.data());
}

bool Landscape::finite() const {
  const auto is_finite = [](double x) { return std::isfinite(x); };
  return std::all_of(u_.begin(), u_.end(), is_finite) &&
         std::all_of(v_.begin(), v_.end(), is_finite);
}

void Landscape::gradient(double* out) {
  chain_.for_each_layer([&](int k) {
    double* entry = out + net_.weights[k];
    for (int i = 0; i < net_.rows(k); ++i) {
      for (int j = 0; j < net_.cols(k); ++j) *entry++ = u(k)[i] * v(k - 1)[j];
    }
  });
}

// (H V)_k = du_k v_{k-1}^T + u_k dv_{k-1}^T, where
// du_{k-1} = V_k^T u_k + W_k^T du_k,  dv_0 = 2 C du_0,  dv_k = V_k v_{k-1} + W_k dv_{k-1}.
void Landscape::hessian_vector_product(const double* V, double* out) {
  const auto size = std::size_t(net_.coordinates);
  AlignedVector<double> du(size), dv(size), below(size), above(size);
  chain_.for_each_layer([&](int k) {
    const int rows = net_.rows(k), cols = net_.cols(k);
    const double* Vk = V + net_.weights[k];
    add_transposed(rows, cols, Vk, u(k), below.data() + net_.vectors[k - 1]);
    multiply(rows, cols, Vk, v(k - 1), above.data() + net_.vectors[k]);
  });
  const auto adds = [&](const AlignedVector<double>& from) {
    return [&](int k, int first, int last, double* y) {
      for (int i = first; i < last; ++i) y[i] += from[std::size_t(net_.vectors[k] + i)];
    };
  };
  pull(du.data(), adds(below));
  multiply_covariance(du.data(), dv.data());
  push(dv.data(), adds(above));
  chain_.for_each_layer([&](int k) {
    double* entry = out + net_.weights[k];
    const double* left = du.data() + net_.vectors[k];
    const double* right = dv.data() + net_.vectors[k - 1];
    for (int i = 0; i < net_.rows(k); ++i) {
      for (int j = 0; j < net_.cols(k); ++j) {
        *entry++ = left[i] * v(k - 1)[j] + u(k)[i] * right[j];
      }
    }
  });
}

}  // namespace deeplinear
