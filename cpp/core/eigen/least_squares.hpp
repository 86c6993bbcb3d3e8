// Least squares of data whose columns are nearly collinear: the singular value decomposition, and
// with it the minimizer, in numbers of some 32 digits.
//
// The minimizer w* of |y - X w| moves by eps kappa |w*| where X moves by eps |X|, kappa the
// condition number of X: in float64 nothing is left of its digits from kappa = 1e16 on.
#pragma once

#include <vector>

#include "threads/stop.hpp"

namespace deeplinear {

// X = sum_j s_j u_j v_j^T, j < k = min(n, d), s descending; of what is below the rounding of
// the first, nothing is known.
struct LeastSquaresModes {
  std::vector<double> values;     // s (k,)
  std::vector<double> right;      // v_j (k, d)
  std::vector<double> targets;    // c_j = u_j . y (k,)
  std::vector<double> minimizer;  // w* = sum_j c_j / s_j v_j (d,), over the rank
  int rank = 0;                   // the number of s_j above rounding s_0
  double rest = 0;                // |y - X w*|^2
};

// columns (k, m), m = max(n, d), are those of X where n >= d, and otherwise the rows of X, whose
// entries are of order one, as those of y (n,); start (k, k) has nearly orthonormal rows, the
// singular vectors of that side in float64. Unfinished where it is stopped.
LeastSquaresModes least_squares_modes(int k, int m, bool tall, const double* columns,
                                      const double* y, const double* start, double rounding,
                                      Stop& stop);

}  // namespace deeplinear
