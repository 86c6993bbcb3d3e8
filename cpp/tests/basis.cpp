// Orthonormal columns of long vectors against dense products, and whatever the number of threads.
#include <limits>
#include <thread>
#include <vector>

#include "check.hpp"
#include "eigen/orthonormal_columns.hpp"
#include "threads/team.hpp"

namespace {

using namespace deeplinear;
using namespace deeplinear::tests;
using Eigen::Index;
using Eigen::MatrixXd;
using Eigen::VectorXd;

VectorXd pseudorandom(Index size, std::uint64_t seed) {
  VectorXd x(size);
  fill_pseudorandom(x, seed);
  return x;
}

// All that a basis computes, one after another
struct Results {
  MatrixXd columns;
  VectorXd coefficients, left, combination;
  double norm = 0, before = 0, after = 0;
};

Results results(Team& team, Index size, Index count) {
  Results found;
  Basis Q(team, size, 1);
  for (Index j = 0; j < count; ++j) {
    Q.set(j, pseudorandom(size, std::uint64_t(j)), 1 / std::sqrt(double(size)));
  }
  VectorXd w = pseudorandom(size, 99);
  found.norm = Q.norm(w);
  found.before = Q.find_coefficients(w, count);
  found.coefficients = Q.coefficients();
  found.after = Q.subtract(w, count, true);
  found.left = w;
  found.combination = Q.combination(0, found.coefficients);
  Q.rotate(0, MatrixXd::Constant(count, 1, 0.5));
  found.columns = Q.columns().leftCols(1);
  return found;
}

// Sums of n terms of size at most 1 are off by n eps at most.
void check_against_dense(Team& team, Index size, Index count) {
  const Results found = results(team, size, count);
  MatrixXd Q(size, count);
  for (Index j = 0; j < count; ++j) {
    Q.col(j) = pseudorandom(size, std::uint64_t(j)) / std::sqrt(double(size));
  }
  const VectorXd w = pseudorandom(size, 99), c = Q.transpose() * w, left = w - Q * c;
  const double tolerance = 4 * double(size) * std::numeric_limits<double>::epsilon();
  check_close(found.norm, w.norm(), tolerance);
  check_close(found.before, w.norm(), tolerance);
  check((found.coefficients - c).norm() <= tolerance);
  check((found.left - left).norm() <= tolerance);
  check_close(found.after, left.norm(), tolerance);
  check((found.combination - Q * c).norm() <= tolerance);
  check((found.columns - Q.rowwise().sum() / 2).norm() <= tolerance);
}

void check_threads(Index size, Index count, int threads) {
  Team alone(1), team(threads);
  std::vector<std::thread> others;
  for (int i = 1; i < threads; ++i) others.emplace_back([&team, i] { team.serve(i); });
  const Results one = results(alone, size, count), several = results(team, size, count);
  team.dismiss();
  for (auto& other : others) other.join();
  check_equal(several.norm, one.norm);
  check_equal(several.before, one.before);
  check_equal(several.after, one.after);
  check(several.coefficients == one.coefficients && several.left == one.left);
  check(several.combination == one.combination && several.columns == one.columns);
}

// Numbers in [-1, 1) of mean 0 and mean square 1/3, another row of them for another seed
void check_pseudorandom() {
  const Index n = 100000;
  const VectorXd x = pseudorandom(n, 1), y = pseudorandom(n, 2);
  check(x.minCoeff() >= -1 && x.maxCoeff() < 1);
  // Five times the deviation of a mean
  const double deviations = 5 / std::sqrt(double(n));
  check_close(x.mean(), 0, deviations * std::sqrt(1.0 / 3));
  check_close(x.squaredNorm() / double(n), 1.0 / 3, deviations * std::sqrt(4.0 / 45));
  check_close(x.dot(y) / double(n), 0, deviations / 3);
  check(pseudorandom(10, 1) == x.head(10));
}

}  // namespace

int main() {
  Team alone(1);
  for (const Index size : {1, 5, 2048, 2049, 10000}) {
    for (const Index count : {1, 3, 20}) {
      check_against_dense(alone, size, count);
      for (const int threads : {2, 3}) check_threads(size, count, threads);
    }
  }
  check_pseudorandom();
  return status();
}
