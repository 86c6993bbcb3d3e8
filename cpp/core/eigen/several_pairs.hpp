// Several extreme eigenpairs from one basis that only grows, by a product per column:
//
//   W = H Q,   T = Q^T W,   Q^T Q = I,   residual of the Ritz pair (theta, Q s) = W s - theta Q s.
//
// No product is made twice, and with dimension() columns T is H in another basis: that is the most
// that it takes.
//
// A column is the residual of the first wanted pair that has not converged: what Lanczos would
// take. But a Krylov space has one vector alone of a repeated eigenvalue. So once all wanted pairs
// have converged a search follows, a Lanczos process on the complement of all columns before it,
// from a pseudorandom vector, until its largest eigenvalue is known to be below the wanted ones.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <utility>
#include <vector>

#include <Eigen/Core>

#include "eigen/lanczos.hpp"

namespace deeplinear {

template <class Operator>
class SeveralEigenpairs {
  using Vector = Eigen::VectorXd;
  using Matrix = Eigen::MatrixXd;
  using Index = Eigen::Index;

 public:
  // Of options, what is of the basis and of locked vectors has no meaning here.
  SeveralEigenpairs(Operator& H, Index count, const LanczosOptions& options)
      : H_(H),
        options_(options),
        count_(std::min(count, H.dimension())),
        sign_(options.largest ? 1 : -1),
        Q_(H.size(), 0),
        W_(H.size(), 0),
        spent_(std::size_t(count_), 0) {}

  // The extreme one first; max_products is for each of them. Fewer where it was stopped.
  std::vector<Eigenpair> run() {
    Vector column = start();
    for (target_ = 0; target_ < count_ && columns_ < H_.dimension();) {
      const Index checked = columns_ + std::max<Index>(3, columns_ / 8);
      while (columns_ < std::min(checked, H_.dimension()) && spent() < options_.max_products) {
        if (options_.stop->poll()) return {};
        append(column);
        if (!std::isfinite(norm_)) return {std::size_t(count_), not_finite()};
        if (!next_of_last(column)) break;
      }
      find_ritz_pairs();
      column = choose_next();
    }
    std::vector<Eigenpair> pairs;
    for (Index i = 0; i < std::min(count_, columns_); ++i) pairs.push_back(pair(i));
    return pairs;
  }

 private:
  static constexpr double epsilon = std::numeric_limits<double>::epsilon();

  std::int64_t& spent() { return spent_[std::size_t(target_)]; }

  auto Q() { return Q_.leftCols(columns_); }
  auto W() { return W_.leftCols(columns_); }

  Vector start() {
    Vector x = pseudorandom();
    if (!options_.start) return x;
    Vector given = *options_.start;
    H_.project(given);
    const double norm = given.stableNorm();
    if (!(norm > 0)) return x;
    x = given / norm + options_.random * x;
    x.normalize();
    return x;
  }

  // A unit vector orthogonal to all columns, another one at every number of them
  Vector pseudorandom() {
    Vector x(H_.size());
    fill_pseudorandom(x, std::uint64_t(columns_));
    H_.project(x);
    x.normalize();
    for (int i = 0; i < 2; ++i) make_orthogonal(x);
    return x;
  }

  // x without its part along the columns, of norm one; returns how much was left of it.
  double make_orthogonal(Vector& x) {
    for (int i = 0; i < 2; ++i) x -= Q() * (Q().transpose() * x).eval();
    // What rounding left outside the subspace would grow to a direction of its own.
    H_.project(x);
    const double norm = x.norm();
    if (norm > 0) x /= norm;
    return norm;
  }

  // q as a column of Q, and its product
  void append(const Vector& q) {
    if (columns_ == Q_.cols()) {
      const Index room = std::min(std::max<Index>(32, 2 * columns_), H_.dimension());
      Q_.conservativeResize(H_.size(), room);
      W_.conservativeResize(H_.size(), room);
      T_.conservativeResize(room, room);
    }
    Vector w(H_.size());
    H_.apply(q, w);
    unit_.apply(w);
    Q_.col(columns_) = q;
    W_.col(columns_) = sign_ * w;
    ++columns_;
    ++spent();
    const Index j = columns_ - 1;
    T_.col(j).head(columns_) = Q().transpose() * W_.col(j);
    T_.row(j).head(columns_) = T_.col(j).head(columns_).transpose();
    const double norm = w.norm();
    if (!(norm <= norm_)) norm_ = norm;  // NaN as well
  }

  // What the product of the last column has beside the columns, as Lanczos goes on; false where
  // that is nothing but rounding.
  bool next_of_last(Vector& column) {
    if (columns_ == H_.dimension()) return false;
    column = W_.col(columns_ - 1);
    if (!(make_orthogonal(column) > 16 * epsilon * norm_)) return false;
    make_orthogonal(column);
    return true;
  }

  // T S = S diag(theta), ascending
  void find_ritz_pairs() { ritz_ = symmetric_eigen(T_.topLeftCorner(columns_, columns_)); }

  double theta(Index i) const { return ritz_.values[columns_ - 1 - i]; }
  auto coefficients(Index i) const { return ritz_.vectors.col(columns_ - 1 - i); }

  Vector residual(Index i) {
    return W() * coefficients(i) - theta(i) * (Q() * coefficients(i)).eval();
  }

  // How small a residual must be
  double goal(double value) const {
    return std::max(options_.tolerance * std::abs(value), 16 * epsilon * norm_);
  }

  // The next column, and the pair that it is for; that is count where nothing is left to do.
  Vector choose_next() {
    if (columns_ == H_.dimension()) return {};
    converged_ = 0;
    bool all = true;
    for (target_ = 0; target_ < std::min(count_, columns_); ++target_) {
      Vector column = residual(target_);
      const double norm = column.norm();
      if (norm <= goal(theta(target_))) {
        if (all) converged_ = target_ + 1;
        continue;
      }
      all = false;
      if (spent() < options_.max_products) return unit_or_random(std::move(column));
    }
    if (columns_ < count_) return pseudorandom();
    if (!all) return {};
    return search();
  }

  Vector unit_or_random(Vector column) {
    const double before = column.norm();
    // Half of it was along the columns: rounding.
    if (!(make_orthogonal(column) > 0.5 * before)) return pseudorandom();
    make_orthogonal(column);
    return column;
  }

  // The next column of the search, which is for the last pair
  Vector search() {
    target_ = count_ - 1;
    if (spent() >= options_.max_products) {
      converged_ = count_ - 1;
      target_ = count_;
      return {};
    }
    const Vector values = ritz_.values.tail(count_);
    if (first_searched_ > 0) {
      // The largest eigenvalue mu of T over the columns of the search, and what its vector's
      // product has beside all columns
      const Index first = first_searched_, width = columns_ - first;
      const SymmetricEigen eigen = symmetric_eigen(T_.block(first, first, width, width));
      const double mu = eigen.values[width - 1];
      const Vector s = eigen.vectors.col(width - 1);
      Vector rest = W().rightCols(width) * s;
      rest -= Q() * (T_.block(0, first, columns_, width) * s).eval();
      // An eigenvector of a larger eigenvalue lambda has a part of at most |rest| / (lambda - mu)
      // in that of mu. A random vector has about dimension^-1/2 of it, of which Lanczos makes more.
      constexpr double unlikely = 1e-3;
      const double gap = ritz_.values[columns_ - count_] - mu;
      const double norm = rest.norm();
      const bool known =
          norm <= goal(mu) || norm <= unlikely / std::sqrt(double(H_.dimension())) * gap;
      if (!known) return unit_or_random(std::move(rest));
      bool found = false;
      for (Index i = 0; i < count_; ++i) {
        found = found || std::abs(values[i] - searched_for_[i]) > 2 * goal(values[i]);
      }
      if (!found) {
        target_ = count_;
        return {};
      }
    }
    first_searched_ = columns_;
    searched_for_ = values;
    return pseudorandom();
  }

  Eigenpair pair(Index i) {
    Eigenpair found;
    const bool whole = columns_ == H_.dimension();
    found.value = sign_ * theta(i) * unit_.value();
    found.residual = residual(i).norm() * unit_.value();
    found.vector = Q() * coefficients(i);
    found.products = spent_[std::size_t(i)];
    found.converged = std::isfinite(found.residual) && ritz_.converged && (whole || i < converged_);
    return found;
  }

  Eigenpair not_finite() {
    constexpr double nan = std::numeric_limits<double>::quiet_NaN();
    Eigenpair found;
    found.value = found.residual = nan;
    return found;
  }

  Operator& H_;
  const LanczosOptions& options_;
  const Index count_;
  const double sign_;
  ProductUnit unit_;
  Matrix Q_, W_, T_;  // with room for more
  Index columns_ = 0, converged_ = 0, target_ = 0;
  double norm_ = 0;  // |H|, from below, in the unit
  std::vector<std::int64_t> spent_;
  SymmetricEigen ritz_;
  Index first_searched_ = 0;  // column of the search; 0 before the first one
  Vector searched_for_;       // the wanted values when it began, ascending
};

}  // namespace deeplinear
