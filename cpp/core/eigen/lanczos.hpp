// Lanczos with full reorthogonalization and thick restarts:  H Q = Q T + beta q e^T,  Q^T Q = I.
//
// An operator has size(), dimension() of the subspace it acts on, project(x) onto that subspace,
// apply(x, y), and the team of threads that works on it. What is within is in units of its
// products.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <utility>

#include <Eigen/Core>

#include "eigen/dense.hpp"
#include "eigen/orthonormal_columns.hpp"
#include "eigen/product_unit.hpp"
#include "eigen/tridiagonal.hpp"
#include "threads/stop.hpp"

namespace deeplinear {

struct Eigenpair {
  double value = 0;
  double residual = 0;  // |H x - value x|, |x| = 1
  std::int64_t products = 0;
  bool converged = false;  // residual <= tolerance |value|, or at the level of rounding of |H|
  Eigen::VectorXd vector;  // x (size,)
  Eigen::VectorXd next;    // a guess of the eigenvector after it; may be empty
  double norm = 0;         // |H|, from below
};

struct LanczosOptions {
  bool largest = true;
  double tolerance = 1e-8;
  std::int64_t max_products = 10000;
  Eigen::Index max_basis = 256;             // then it restarts from its best vectors
  const Eigen::VectorXd* start = nullptr;   // (size,)
  double random = 1e-3;                     // of a random vector that is added to the start
  const Eigen::MatrixXd* locked = nullptr;  // orthonormal eigenvectors to leave out, as columns
  double norm = 0;                          // what is known of |H|, from below: its rounding
  double locked_residual = 0;               // of all locked vectors: H x has so much along them
  Stop* stop = &Stop::never();              // looked at before every product
};

template <class Operator>
class Lanczos {
  using Vector = Eigen::VectorXd;
  using Matrix = Eigen::MatrixXd;
  using Index = Eigen::Index;

 public:
  Lanczos(Operator& H, const LanczosOptions& options)
      : H_(H),
        options_(options),
        locked_(options.locked ? options.locked->cols() : 0),
        dimension_(H.dimension() - locked_),
        capacity_(std::min(options.max_basis, dimension_)),
        Q_(H.team(), H.size(), locked_ + std::min<Index>(capacity_, 32)),
        sign_(options.largest ? 1 : -1),
        w_(H.size()),
        x_(H.size()) {
    if (locked_ > 0) Q_.columns().leftCols(locked_) = *options.locked;
  }

  Eigenpair run() {
    set_start();
    Q_.set(locked_, x_);
    // With restarts T is no longer tridiagonal, but diagonal in what was kept, with a border.
    const Index room = std::min<Index>(capacity_, 256);
    Matrix T = Matrix::Zero(room, room);
    Index kept = 0, j = 0;
    for (; !stopped(); ++j) {
      extend(T, j);
      if (!std::isfinite(beta_)) {
        constexpr double nan = std::numeric_limits<double>::quiet_NaN();
        fill_best(nan, nan);
        return best_;
      }
      const bool exhausted = beta_ <= 16 * epsilon * norm_ || j + 1 == dimension_;
      const bool full = j + 1 == capacity_;
      const bool all = kept > 0 || full || options_.locked;
      // One Ritz pair of T costs as much as a product of a small operator; all of them far more.
      const bool cheap = !all && H_.size() >= large;
      if (exhausted || full || cheap || (j - kept) % 3 == 2) {
        find_ritz_vectors(T, j, all);
        const double estimate = beta_ * std::abs(ritz_(j, ritz_.cols() - 1));
        const double goal =
            std::max(options_.tolerance * std::abs(ritz_value_), 8 * epsilon * norm_);
        // Far above the rounding of H Q = Q T + beta q e^T the residual needs no product of its
        // own.
        const bool known = locked_ == 0 && goal >= 1e4 * epsilon * norm_;
        const bool enough = estimate <= (known ? 1 : 0.5) * goal;
        if (exhausted || enough) {
          set_to_ritz_vector();
          if (known && enough) {
            fill_best(ritz_value_, estimate);
          } else {
            next_ = w_;
            accept();
            w_.swap(next_);
          }
          if (best_.converged || exhausted) {
            set_next();
            return best_;
          }
        }
        if (full) {
          kept = restart(T, j);
          j = kept - 1;
        }
      }
      Q_.set(locked_ + j + 1, w_, 1 / beta_);
    }
    if (j > 0) {
      find_ritz_vectors(T, j - 1, true);
      set_to_ritz_vector();
    }
    accept();
    return best_;
  }

 private:
  static constexpr double epsilon = std::numeric_limits<double>::epsilon();
  static constexpr Index large = 2048;

  // The last product is left for the best Ritz vector.
  bool stopped() const {
    return best_.products + 1 >= options_.max_products || options_.stop->poll();
  }

  // A share of the pseudorandom vector keeps every eigenvector within reach of an unlucky start.
  void set_start() {
    // Another one after every locked vector: where an eigenvalue is repeated, the part of the first
    // in its eigenspace is the vector that was found.
    fill_pseudorandom(x_, std::uint64_t(locked_));
    clean(x_);
    x_.normalize();
    if (!options_.start) return;
    Vector given = *options_.start;
    clean(given);
    if (const double norm = given.stableNorm(); norm > 0) x_ = given / norm + options_.random * x_;
    x_.normalize();
  }

  // Onto the subspace, without the locked vectors
  void clean(Vector& x) {
    H_.project(x);
    if (locked_ == 0) return;
    Q_.find_coefficients(x, locked_);
    for (const bool again : {true, false}) Q_.subtract(x, locked_, again);
    H_.project(x);
  }

  // w = sign H x
  void multiply(const Eigen::Ref<const Vector>& x) {
    H_.apply(x, w_);
    unit_.apply(w_);
    if (sign_ < 0) w_ = -w_;
    if (best_.products++ == 0) norm_ = options_.norm / unit_.value();
  }

  void set_to_ritz_vector() {
    x_.noalias() = Q_.combination(locked_, ritz_.rightCols(1));
    if (locked_ > 0) clean(x_);
    x_.normalize();
  }

  // Fills best from the unit vector x, by a product.
  void accept() {
    multiply(x_);
    const double value = x_.dot(w_);
    fill_best(value, (w_ - value * x_).norm());
  }

  void fill_best(double value, double residual) {
    const double unit = unit_.value();
    best_.value = sign_ * value * unit;
    best_.residual = residual * unit;
    best_.vector = x_;
    best_.norm = norm_ * unit;
    best_.converged =
        residual <= std::max(options_.tolerance * std::abs(value), 16 * epsilon * norm_) +
                        2 * options_.locked_residual / unit;
  }

  // Where there are eigenvectors to come
  void set_next() {
    if (!options_.locked || ritz_.cols() < 2) return;
    best_.next = Q_.combination(locked_, ritz_.col(ritz_.cols() - 2));
  }

  // w = H q_j without its part along the basis; column j of T, and beta = |w|.
  void extend(Matrix& T, Index j) {
    multiply(Q_.columns().col(locked_ + j));
    const Index count = locked_ + j + 1;
    const double before = Q_.find_coefficients(w_, count);
    if (j == T.cols()) {
      const Index room = std::min(2 * j, capacity_);
      T.conservativeResizeLike(Matrix::Zero(room, room));
    }
    T.col(j).head(j + 1) = Q_.coefficients().tail(j + 1);
    T.row(j).head(j + 1) = Q_.coefficients().tail(j + 1).transpose();
    // Twice at least: a single time takes w off a basis that is orthogonal up to d only up to about
    // 2 d, since |w| is of the order of what it loses, and so d would double from step to step.
    // Again where w lost half of its norm (Kahan and Parlett).
    double after = Q_.subtract(w_, count, true);
    for (;;) {
      const double last = after;
      after = Q_.subtract(w_, count, false);
      const bool lost_half = after <= 0.5 * last && std::isfinite(last);
      if (!lost_half || after <= 4 * epsilon * norm_) break;
      Q_.find_coefficients(w_, count);
    }
    // What rounding left outside the subspace would grow to a direction of its own as w shrinks.
    H_.project(w_);
    beta_ = Q_.norm(w_);
    norm_ = std::max(norm_, before);
    betas_.conservativeResize(std::max<Index>(betas_.size(), j + 1));
    betas_[j] = beta_;
  }

  // The best Ritz pair, last, and with all set the others before it, ascending
  void find_ritz_vectors(const Matrix& T, Index j, bool all) {
    if (all) {
      SymmetricEigen eigen = symmetric_eigen(T.topLeftCorner(j + 1, j + 1));
      ritz_values_ = std::move(eigen.values);
      ritz_value_ = ritz_values_[j];
      ritz_ = std::move(eigen.vectors);
    } else {
      const RitzPair pair = largest_ritz_pair(T.diagonal().head(j + 1), betas_.head(j));
      ritz_value_ = pair.value;
      ritz_ = pair.vector;
    }
  }

  // Keeps the best Ritz vectors as a new basis; returns their number.
  Index restart(Matrix& T, Index j) {
    const Index kept = std::max<Index>(1, std::min<Index>((j + 1) / 2, j - 1));
    Q_.rotate(locked_, ritz_.rightCols(kept));
    T.setZero();
    T.diagonal().head(kept) = ritz_values_.tail(kept);
    return kept;
  }

  Operator& H_;
  const LanczosOptions& options_;
  const Index locked_, dimension_, capacity_;
  Basis Q_;
  const double sign_;
  Vector w_, x_;
  ProductUnit unit_;
  double norm_ = 0;
  Vector next_, betas_, ritz_values_;
  Matrix ritz_;
  double ritz_value_ = 0, beta_ = 0;
  Eigenpair best_;
};

template <class Operator>
Eigenpair extreme_eigenpair(Operator& H, const LanczosOptions& options) {
  return Lanczos<Operator>(H, options).run();
}

}  // namespace deeplinear
