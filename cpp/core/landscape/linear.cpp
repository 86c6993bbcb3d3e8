#include "landscape/linear.hpp"

#include <algorithm>
#include <cmath>

namespace deeplinear {

RowMatrix dense_layer(const Layout& net, const Weights& W, int k) {
  RowMatrix layer(net.rows(k), net.cols(k));
  W.copy_layer(net, k, layer.data());
  return layer;
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
  Dyads<double> K;
  K.add(1, u_.data(), v_.data());
  write(K, out);
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
  Dyads<double> product;
  product.add(1, du.data(), v_.data());
  product.add(1, u_.data(), dv.data());
  write(product, out);
}

void Landscape::write(const Dyads<double>& D, double* out) {
  chain_.for_each_layer(
      [&](int k) { D.layer(net_, k).write_to(net_.rows(k), net_.cols(k), out + net_.weights[k]); });
}

}  // namespace deeplinear
