// Landscape: risk, gradient, Hessian products and Hessian trace at given weights.
#pragma once

#include <algorithm>
#include <vector>

#include <Eigen/Eigenvalues>

#include "chain.hpp"
#include "memory.hpp"
#include "risk.hpp"
#include "samples.hpp"

namespace deeplinear {

// The network, its fixed readout, and the risk: of its end-to-end map, or of the samples where
// there are some.
struct Problem {
  Layout net;
  std::vector<double> readout;  // p (d_L,)
  Risk risk;
  Samples samples = {};

  bool by_samples() const { return samples.train.count() > 0; }
};

// u_L = p
template <class P>
inline void set_readout(const Problem& problem, P* u) {
  P* top = u + problem.net.vectors[problem.net.depth()];
  for (std::size_t i = 0; i < problem.readout.size(); ++i) {
    top[i] = P(typename P::Scalar(problem.readout[i]));
  }
}

// The chain u, v at weights that must outlive it, and what follows from it.
template <class P>
class Landscape {
 public:
  static constexpr bool by_samples = false;
  using Index = Layout::Index;

  explicit Landscape(const Problem& problem)
      : problem_(problem),
        risk_(problem.risk),
        u_(problem.net.coordinates),
        v_(problem.net.coordinates),
        du_(problem.net.coordinates),
        dv_(problem.net.coordinates) {
    set_readout(problem, u_.data());
  }

  // pull and push at the weights W (P,), aligned as an AlignedVector
  void evaluate(const P* W) {
    W_ = W;
    pull(problem_.net, W, u_.data());
    excess_ = risk_.gradient(u_.data(), v_.data());
    push(problem_.net, W, v_.data());
  }

  // False where a product of the layers overflows.
  bool finite() const {
    const auto overflows = [](P x) { return any(!deeplinear::finite(x)); };
    return std::none_of(u_.begin(), u_.end(), overflows) &&
           std::none_of(v_.begin(), v_.end(), overflows);
  }

  P excess() const { return excess_; }
  const P* weights() const { return W_; }
  const P* end_to_end() const { return u_.data(); }
  const P* u(int k) const { return u_.data() + problem_.net.vectors[k]; }
  const P* v(int k) const { return v_.data() + problem_.net.vectors[k]; }
  const Problem& problem() const { return problem_; }
  const RiskEvaluator<P>& risk() const { return risk_; }

  // grad_k = u_k v_{k-1}^T
  void gradient(P* out) const {
    for_each_entry([&](int k, int i, int j) { *out++ = u(k)[i] * v(k - 1)[j]; });
  }

  // (H V)_k = du_k v_{k-1}^T + u_k dv_{k-1}^T, where
  // du_{k-1} = V_k^T u_k + W_k^T du_k,  dv_0 = 2 C du_0,  dv_k = V_k v_{k-1} + W_k dv_{k-1}.
  void hessian_vector_product(const P* V, P* out) {
    const Layout& net = problem_.net;
    P* top = du_.data() + net.vectors[net.depth()];
    for (int i = 0; i < net.widths.back(); ++i) top[i] = zero<P>();
    for (int k = net.depth(); k >= 1; --k) {
      const int rows = net.rows(k), cols = net.cols(k);
      P* below = du_.data() + net.vectors[k - 1];
      transposed_product(rows, cols, V + net.weights[k], u(k), below);
      transposed_product(rows, cols, W_ + net.weights[k], du_.data() + net.vectors[k], below, true);
    }
    risk_.multiply_covariance(du_.data(), dv_.data());
    for (int k = 1; k < net.depth(); ++k) {
      const int rows = net.rows(k), cols = net.cols(k);
      P* above = dv_.data() + net.vectors[k];
      product(rows, cols, V + net.weights[k], v(k - 1), above);
      product(rows, cols, W_ + net.weights[k], dv_.data() + net.vectors[k - 1], above, true);
    }
    const P *du = du_.data(), *dv = dv_.data();
    for_each_entry([&](int k, int i, int j) {
      *out++ = fma(du[net.vectors[k] + i], v(k - 1)[j], u(k)[i] * dv[net.vectors[k - 1] + j]);
    });
  }

 private:
  // Calls body(k, i, j) for every entry (i, j) of every layer k in the order of the weights.
  template <class Body>
  void for_each_entry(Body body) const {
    const Layout& net = problem_.net;
    for (int k = 1; k <= net.depth(); ++k) {
      for (int i = 0; i < net.rows(k); ++i) {
        for (int j = 0; j < net.cols(k); ++j) body(k, i, j);
      }
    }
  }

  const Problem& problem_;
  RiskEvaluator<P> risk_;
  const P* W_ = nullptr;
  P excess_{};
  AlignedVector<P> u_, v_, du_, dv_;
};

using RowMatrix = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

// tr H = 2 sum_k |u_k|^2 tr(A_k C A_k^T), A_k = W_{k-1} .. W_1: the diagonal blocks of the residual
// part are zero.
inline double hessian_trace(const Landscape<Pack<double, 1>>& landscape) {
  const Problem& problem = landscape.problem();
  const Layout& net = problem.net;
  const int d = net.widths[0];
  const auto* weights = reinterpret_cast<const double*>(landscape.weights());
  const Eigen::Map<const RowMatrix> C(problem.risk.covariance.data(), d, d);
  const Eigen::SelfAdjointEigenSolver<Eigen::MatrixXd> eigen(C);
  // F = A_k C^(1/2) (d_{k-1}, d), so that tr(A_k C A_k^T) = |F|^2
  RowMatrix F = eigen.eigenvectors() * eigen.eigenvalues().cwiseMax(0.0).cwiseSqrt().asDiagonal();
  double trace = 0;
  for (int k = 1; k <= net.depth(); ++k) {
    const Eigen::Map<const Eigen::VectorXd> u(reinterpret_cast<const double*>(landscape.u(k)),
                                              net.rows(k));
    trace += 2 * u.squaredNorm() * F.squaredNorm();
    if (k == net.depth()) break;
    const Eigen::Map<const RowMatrix> W(weights + net.weights[k], net.rows(k), net.cols(k));
    F = (W * F).eval();
  }
  return trace;
}

}  // namespace deeplinear
