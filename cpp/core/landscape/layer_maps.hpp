// The maps A_k = W_{k-1} .. W_1 below every layer, applied to a root of the covariance, and what
// follows from them: the trace of the Hessian, and its largest eigenvalue at a minimizer.
#pragma once

#include <algorithm>

#include <Eigen/Core>

#include "landscape/linear.hpp"
#include "threads/stop.hpp"

namespace deeplinear {

// B (d, r) with B B^T = C, r the rank of C
RowMatrix root_of_covariance(const Problem& problem);

// Calls body(k, F) with F = A_k B (d_{k-1}, r) for k = 1 .. L, until it returns false. The rows of
// a product are cut into blocks of a fixed size, so that it does not depend on the threads.
template <class Body>
inline void for_each_map(Landscape& landscape, RowMatrix B, Body body) {
  constexpr int rows_at_once = 64;
  const Layout& net = landscape.problem().net;
  const Weights& W = landscape.weights();
  RowMatrix& F = B;
  for (int k = 1; k <= net.depth(); ++k) {
    if (!body(k, static_cast<const RowMatrix&>(F)) || k == net.depth()) return;
    const int rows = net.rows(k), cols = net.cols(k);
    const Eigen::Map<const RowMatrix> layer(W.values + net.weights[k], rows, cols);
    const LayerDyads<double> dyads = W.dyads.layer(net, k);
    RowMatrix above(rows, F.cols());
    landscape.chain().team().run([&](Team::Member member) {
      const auto [begin, end] = member.share(rows, rows_at_once);
      for (int first = begin; first < end; first += rows_at_once) {
        const int count = std::min(rows_at_once, end - first);
        above.middleRows(first, count).noalias() = layer.middleRows(first, count) * F;
      }
    });
    using ConstVector = Eigen::Map<const Eigen::VectorXd>;
    for (int s = 0; s < dyads.count; ++s) {
      const Eigen::RowVectorXd row = ConstVector(dyads.v[s], cols).transpose() * F;
      above.noalias() += dyads.coefficient[s] * ConstVector(dyads.u[s], rows) * row;
    }
    F.swap(above);
  }
}

// tr H = 2 sum_k |u_k|^2 |A_k B|^2: the diagonal blocks of the residual part are zero. Unfinished
// where it was stopped.
double hessian_trace(Landscape& landscape, const RowMatrix& B, Stop& stop);

// 2 B^T M B (r, r), M = sum_k |u_k|^2 A_k^T A_k: its eigenvalues are those of the Gauss-Newton part
// of the Hessian but for zeros. Unfinished where it was stopped.
Eigen::MatrixXd gauss_newton_matrix(Landscape& landscape, const RowMatrix& B, Stop& stop);

}  // namespace deeplinear
