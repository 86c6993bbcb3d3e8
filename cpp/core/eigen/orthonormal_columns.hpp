// Orthonormal columns of long vectors, by the threads of a team. The rows are cut into blocks of a
// fixed size, whose sums are added in their order: nothing depends on the number of threads.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>

#include <Eigen/Core>

#include "simd/aligned_array.hpp"
#include "threads/team.hpp"

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
    prefer_huge_pages(Q_.data(), sizeof(double) * std::size_t(Q_.size()));
  }

  Matrix& columns() { return Q_; }

  // Column j = scale x; there is always room for one more.
  void set(Index j, const Vector& x, double scale = 1) {
    if (j >= Q_.cols()) {
      Q_.conservativeResize(Eigen::NoChange, 2 * Q_.cols());
      prefer_huge_pages(Q_.data(), sizeof(double) * std::size_t(Q_.size()));
    }
    for_each_block(
        [&](int, Index row, Index n) { Q_.col(j).segment(row, n) = scale * x.segment(row, n); });
  }

  double norm(const Vector& x) {
    prepare_sums(0);
    for_each_block(
        [&](int b, Index row, Index n) { sums_(0, b) = x.segment(row, n).squaredNorm(); });
    return add_up_sums(0);
  }

  // c = Q^T w of the first `count` columns; returns |w|.
  double find_coefficients(const Vector& w, Index count) {
    prepare_sums(count);
    for_each_block([&](int b, Index row, Index n) { sum_block(w, count, b, row, n); });
    return add_up_sums(count);
  }

  // w -= Q c with these coefficients, and of what is left again c = Q^T w where wanted; returns
  // |w|.
  double subtract(Vector& w, Index count, bool again) {
    prepare_sums(again ? count : 0);
    for_each_block([&](int b, Index row, Index n) {
      w.segment(row, n).noalias() -= Q_.block(row, 0, n, count) * coefficients_;
      sum_block(w, again ? count : 0, b, row, n);
    });
    return add_up_sums(again ? count : 0);
  }

  const Vector& coefficients() const { return coefficients_; }

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
  // Of some columns, a block fits the second-level cache.
  static constexpr Index rows_at_once = 2048;

  // Room for |w|^2 and `count` products of every block
  void prepare_sums(Index count) {
    if (sums_.rows() <= count) sums_.resize(std::max(2 * sums_.rows(), count + 1), blocks_);
  }

  void sum_block(const Vector& w, Index count, int b, Index row, Index n) {
    const auto part = w.segment(row, n);
    sums_(0, b) = part.squaredNorm();
    if (count == 0) return;
    sums_.col(b).segment(1, count).noalias() = Q_.block(row, 0, n, count).transpose() * part;
  }

  // Into the coefficients where there are some; returns |w|.
  double add_up_sums(Index count) {
    double squared_norm = 0;
    for (int b = 0; b < blocks_; ++b) squared_norm += sums_(0, b);
    if (count > 0) {
      coefficients_.setZero(count);
      for (int b = 0; b < blocks_; ++b) coefficients_ += sums_.col(b).segment(1, count);
    }
    return std::sqrt(squared_norm);
  }

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
  Matrix sums_;  // (1 + count or more, blocks)
  Vector coefficients_;
};

}  // namespace deeplinear
