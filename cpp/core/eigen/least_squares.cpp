#include "eigen/least_squares.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "simd/aligned_array.hpp"
#include "simd/double_double.hpp"

namespace deeplinear {
namespace {

using P = Pack<double, native_lanes<double>>;
using Numbers = DoubleDouble<P>;
using Index = std::ptrdiff_t;

// Rows of numbers, each filled up with zeros to whole packs
class Rows {
 public:
  Rows(Index rows, Index cols)
      : cols_(cols), packs_((cols + P::lanes - 1) / P::lanes), numbers_(rows * packs_) {}
  Rows(Index rows, Index cols, const double* values) : Rows(rows, cols) {
    for (Index i = 0; i < rows; ++i) {
      for (Index j = 0; j < cols; ++j) set(i, j, values[i * cols + j], 0);
    }
  }

  Index packs() const { return packs_; }
  Numbers* row(Index i) { return numbers_.data() + i * packs_; }
  const Numbers* row(Index i) const { return numbers_.data() + i * packs_; }

  PreciseNumber at(Index i, Index j) const {
    const Numbers& pack = row(i)[j / P::lanes];
    const int lane = int(j % P::lanes);
    return {Pack<double, 1>(pack.high.lane(lane)), Pack<double, 1>(pack.low.lane(lane))};
  }
  void set(Index i, Index j, double high, double low) {
    Numbers& pack = row(i)[j / P::lanes];
    pack.high.set_lane(int(j % P::lanes), high);
    pack.low.set_lane(int(j % P::lanes), low);
  }

  PreciseNumber dot(Index i, const Rows& other, Index j) const {
    const Numbers *x = row(i), *y = other.row(j);
    Numbers sum;
    for (Index n = 0; n < packs_; ++n) sum = sum + x[n] * y[n];
    return sum_of_lanes(sum);
  }

  // row i += factor x
  void add(Index i, const PreciseNumber& factor, const Numbers* x) {
    const Numbers c = Numbers::everywhere(factor);
    Numbers* y = row(i);
    for (Index n = 0; n < packs_; ++n) y[n] = y[n] + c * x[n];
  }

  // Turns rows i and j by the angle of cosine c and sine s.
  void rotate(Index i, Index j, const PreciseNumber& cosine, const PreciseNumber& sine) {
    const Numbers c = Numbers::everywhere(cosine), s = Numbers::everywhere(sine);
    Numbers *x = row(i), *y = row(j);
    for (Index n = 0; n < packs_; ++n) {
      const Numbers first = x[n], second = y[n];
      x[n] = c * first - s * second;
      y[n] = s * first + c * second;
    }
  }

  std::vector<double> rounded_row(Index i) const {
    std::vector<double> values(static_cast<std::size_t>(cols_));
    for (Index j = 0; j < cols_; ++j) values[std::size_t(j)] = rounded(at(i, j));
    return values;
  }

 private:
  Index cols_, packs_;
  AlignedVector<Numbers> numbers_;
};

// V with V V^T = I to rounding squared: V + (I - V V^T) V / 2
Rows orthonormal_rows(Index k, const double* start, Stop& stop) {
  const Rows given(k, k, start);
  Rows V = given;
  for (Index i = 0; i < k && !stop.poll(); ++i) {
    for (Index j = 0; j < k; ++j) {
      const PreciseNumber defect = precise(i == j ? 1.0 : 0.0) - given.dot(i, given, j);
      V.add(i, precise(0.5 * rounded(defect)), given.row(j));
    }
  }
  return V;
}

// One-sided Jacobi (Demmel and Veselic 1992): rows of Y = V A are turned by pairs, and those of V
// with them, until all of Y are orthogonal, to what matters for w*.
class Jacobi {
 public:
  // What is so short beside the longest row is below the numerical rank, and takes no part in w*.
  Jacobi(Rows& Y, Rows& V, Index k, double shortest)
      : Y_(Y),
        V_(V),
        k_(k),
        shortest_(shortest),
        squares_(std::size_t(k)),
        turned_(std::size_t(k), 0) {
    for (Index i = 0; i < k; ++i) renew(i);
  }

  // True where a pair had to be turned.
  bool sweep(Stop& stop) {
    ++sweep_;
    bool any = false;
    for (Index i = 0; i + 1 < k_; ++i) {
      for (Index j = i + 1; j < k_ && !stop.poll(); ++j) {
        any |= !is_known(i, j) && turn(i, j);
      }
    }
    return any;
  }

  const std::vector<PreciseNumber>& squares() const { return squares_; }

 private:
  // Rows i and j of Y at the angle of cosine t change w* by t s_i / s_j relative to its norm, for
  // s_i >= s_j: u_j then has t of u_i, and c_j / s_j is off by t c_i / s_j, where |w*| >= c_i /
  // s_i. Where j takes no part, v_i is off by t s_j / s_i of v_j.
  static constexpr double negligible = 1e-14;

  // Orthogonal since the sweep before
  bool is_known(Index i, Index j) const {
    return std::max(turned_[std::size_t(i)], turned_[std::size_t(j)]) < sweep_ - 1;
  }

  void renew(Index i) {
    squares_[std::size_t(i)] = Y_.dot(i, Y_, i);
    longest_ = std::max(longest_, rounded(squares_[std::size_t(i)]));
    turned_[std::size_t(i)] = sweep_;
  }

  bool turn(Index i, Index j) {
    const PreciseNumber &a = squares_[std::size_t(i)], &b = squares_[std::size_t(j)];
    const auto [smaller, larger] = std::minmax({rounded(a), rounded(b)});
    const bool both = smaller > shortest_ * shortest_ * longest_;
    const double inner = rounded(Y_.dot(i, Y_, j));
    if (!(std::abs(inner) > negligible * (both ? smaller : larger))) return false;
    // The smaller root t of t^2 + 2 zeta t - 1, the tangent of the angle. The angle may be rounded;
    // that the rotation is orthogonal may not.
    const double zeta = rounded(b - a) / (2 * inner);
    const double t = std::copysign(1.0, zeta) / (std::abs(zeta) + std::hypot(1.0, zeta));
    const PreciseNumber tangent = precise(t), one = precise(1);
    const PreciseNumber cosine = one / sqrt(one + tangent * tangent), sine = tangent * cosine;
    Y_.rotate(i, j, cosine, sine);
    V_.rotate(i, j, cosine, sine);
    renew(i);
    renew(j);
    return true;
  }

  Rows &Y_, &V_;
  const Index k_;
  const double shortest_;
  std::vector<PreciseNumber> squares_;
  std::vector<int> turned_;  // the sweep in which a row was turned last
  int sweep_ = 0;
  double longest_ = 0;
};

}  // namespace

LeastSquaresModes least_squares_modes(int k, int m, bool tall, const double* columns,
                                      const double* y, const double* start, double rounding,
                                      Stop& stop) {
  constexpr int most_sweeps = 30;
  const Rows A(k, m, columns);
  Rows V = orthonormal_rows(k, start, stop), Y(k, m);
  for (Index i = 0; i < k; ++i) {
    for (Index j = 0; j < k && !stop.poll(); ++j) Y.add(i, V.at(i, j), A.row(j));
  }
  Jacobi jacobi(Y, V, k, rounding / 16);
  for (int i = 0; i < most_sweeps && jacobi.sweep(stop); ++i) {
  }

  std::vector<Index> order(static_cast<std::size_t>(k));
  std::iota(order.begin(), order.end(), Index(0));
  const auto square = [&](Index i) { return rounded(jacobi.squares()[std::size_t(i)]); };
  std::stable_sort(order.begin(), order.end(),
                   [&](Index a, Index b) { return square(a) > square(b); });

  // u_j = Y_j / s_j and v_j = V_j where X is tall, and the other way round where it is not.
  const Rows &left = tall ? Y : V, &right = tall ? V : Y;
  const int n = tall ? m : k, d = tall ? k : m;
  LeastSquaresModes modes;
  Rows residual(1, n, y), minimizer(1, d);  // y - X w and w, so far
  const double least = rounding * std::sqrt(square(order.front()));
  for (const Index i : order) {
    const PreciseNumber one = precise(1), s2 = jacobi.squares()[std::size_t(i)];
    const PreciseNumber s = square(i) > 0 ? sqrt(s2) : precise(0);
    const PreciseNumber inverse = square(i) > 0 ? one / s : precise(0);
    const PreciseNumber u_scale = tall ? inverse : one, v_scale = tall ? one : inverse;
    const PreciseNumber c = u_scale * left.dot(i, residual, 0);
    modes.values.push_back(rounded(s));
    modes.targets.push_back(rounded(c));
    for (Index j = 0; j < d; ++j) modes.right.push_back(rounded(v_scale * right.at(i, j)));
    if (!(rounded(s) > least)) continue;
    ++modes.rank;
    residual.add(0, -(u_scale * c), left.row(i));
    minimizer.add(0, v_scale * (c * inverse), right.row(i));
  }
  modes.minimizer = minimizer.rounded_row(0);
  modes.rest = rounded(residual.dot(0, residual, 0));
  return modes;
}

}  // namespace deeplinear
