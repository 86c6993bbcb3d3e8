// Orthonormal columns of long vectors, by the threads of a team. The rows are cut into blocks of a
// fixed size, whose sums are added in their order: nothing depends on the number of threads.
#pragma once

#include <cmath>
#include <cstdint>

#include <Eigen/Core>

#include "team.hpp"

namespace deeplinear {

// Numbers in [-1, 1) that depend on their place and the seed alone (SplitMix64).
inline void fill_pseudorandom(Eigen::Ref<Eigen::VectorXd> x, std::uint64_t seed = 0) {
  for (Eigen::Index i = 0; i < x.size(); ++i) {
    std::uint64_t z = (seed * 0x632BE59BD9B4E019u + std::uint64_t(i) + 1) * 0x9E3779B97F4A7C15u;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    x[i] = double((z ^ (z >> 31)) >> 11) * 0x1p-52 - 1;
  }
}

class Basis {
 public:
  using Index = Eigen::Index;
  using Vector = Eigen::VectorXd;
  using Matrix = Eigen::MatrixXd;

  Basis(Team& team, Index size, Index columns) : team_(team), Q_(size, columns) {
    blocks_ = int((size + rows_at_once - 1) / rows_at_once);
  }

  Matrix& columns() { return Q_; }

  // Column j = scale x; there is always room for one more.
  void set(Index j, const Vector& x, double scale = 1) {
    if (j >= Q_.cols()) Q_.conservativeResize(Eigen::NoChange, 2 * Q_.cols());
    Q_.col(j) = scale * x;
  }

  double norm(const Vector& x) {
    if (blocks_ <= 1) return x.norm();
    sums_.resize(1, blocks_);
    for_each_block([&](int b, Index first, Index count) {
      sums_(0, b) = x.segment(first, count).squaredNorm();
    });
    double sum = 0;
    for (int b = 0; b < blocks_; ++b) sum += sums_(0, b);
    return std::sqrt(sum);
  }

  // w -= Q Q^T w of the first `count` columns; returns Q^T w.
  const Vector& orthogonalize(Vector& w, Index count) {
    coefficients_.resize(count);
    if (blocks_ <= 1) {
      coefficients_.noalias() = Q_.leftCols(count).transpose() * w;
      w.noalias() -= Q_.leftCols(count) * coefficients_;
      return coefficients_;
    }
    sums_.resize(count, blocks_);
    for_each_block([&](int b, Index first, Index n) {
      sums_.col(b).noalias() = Q_.block(first, 0, n, count).transpose() * w.segment(first, n);
    });
    coefficients_.setZero();
    for (int b = 0; b < blocks_; ++b) coefficients_ += sums_.col(b);
    for_each_block([&](int, Index first, Index n) {
      w.segment(first, n).noalias() -= Q_.block(first, 0, n, count) * coefficients_;
    });
    return coefficients_;
  }

  // sum_j s_j q_j over the columns from `first` on
  Vector combination(Index first, const Eigen::Ref<const Vector>& s) {
    Vector x(Q_.rows());
    for_each_block([&](int, Index row, Index n) {
      x.segment(row, n).noalias() = Q_.block(row, first, n, s.size()) * s;
    });
    return x;
  }

  // The columns from `first` on become Q S, S (columns, fewer).
  void rotate(Index first, const Matrix& S) {
    for_each_block([&](int, Index row, Index n) {
      const Matrix rotated = Q_.block(row, first, n, S.rows()) * S;
      Q_.block(row, first, n, S.cols()) = rotated;
    });
  }

 private:
  static constexpr Index rows_at_once = 4096;

  // Calls body(block, first row, number of rows).
  template <class Body>
  void for_each_block(Body body) {
    team_.run([&](Team::Member member) {
      const auto [begin, end] = member.share(blocks_);
      for (int b = begin; b < end; ++b) {
        const Index first = Index(b) * rows_at_once;
        body(b, first, std::min(rows_at_once, Q_.rows() - first));
      }
    });
  }

  Team& team_;
  Matrix Q_;
  int blocks_;
  Matrix sums_;  // (count, blocks)
  Vector coefficients_;
};

}  // namespace deeplinear
