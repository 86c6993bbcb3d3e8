#include "hessian/extremes.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>

#include "eigen/product_unit.hpp"
#include "eigen/several_pairs.hpp"
#include "hessian/compressed.hpp"
#include "hessian/full.hpp"
#include "landscape/layer_maps.hpp"

namespace deeplinear {
namespace {

using Index = Eigen::Index;
using Vector = Eigen::VectorXd;
using Matrix = Eigen::MatrixXd;

constexpr double epsilon = std::numeric_limits<double>::epsilon();

// Up to this dimension a dense eigensolver is as fast as Lanczos, and sees every eigenvalue.
constexpr Index largest_dense_dimension = 24;

// Up to this dimension times the size of a vector, 32 MB of a matrix, of which there are five, all
// of H may be held.
constexpr Index largest_matrix = Index(1) << 22;

// Up to this dimension one basis for several eigenpairs, whose eigenproblems grow with it, takes no
// longer than a basis for each; beyond, these take fewer products than the dimension for some
// dozens of pairs.
constexpr Index largest_shared_basis = 384;

// The extreme one first, of the whole matrix
template <class Operator>
std::vector<Eigenpair> dense_eigenpairs(Operator& H, Index count, const LanczosOptions& options) {
  const Matrix basis = H.basis(), A = H.matrix(basis, *options.stop);
  const SymmetricEigen eigen = symmetric_eigen(A);
  const bool whole = !options.stop->poll() && eigen.converged;
  std::vector<Eigenpair> pairs;
  for (Index i = 0; i < std::min(count, H.dimension()); ++i) {
    const Index index = options.largest ? H.dimension() - 1 - i : i;
    Eigenpair pair;
    pair.vector = basis * eigen.vectors.col(index);
    pair.value = eigen.values[index];
    pair.products = i == 0 ? H.dimension() : 0;
    if (count == 1) {
      Vector product(H.size());
      H.apply(pair.vector, product);
      ++pair.products;
      pair.residual = (product - pair.value * pair.vector).stableNorm();
    } else {
      pair.residual =
          (A * eigen.vectors.col(index) - pair.value * eigen.vectors.col(index)).stableNorm();
    }
    pair.converged = whole && std::isfinite(pair.residual);
    pairs.push_back(std::move(pair));
  }
  return pairs;
}

// One after another, each without those before it: a repeated eigenvalue, of which a Krylov space
// holds one vector alone, is found as often as it is there.
template <class Operator>
std::vector<Eigenpair> successive_eigenpairs(Operator& H, Index count, LanczosOptions options) {
  std::vector<Eigenpair> pairs;
  Matrix locked(H.size(), 0);
  Vector guess;
  if (options.start) guess = *options.start;
  for (Index i = 0; i < std::min(count, H.dimension()); ++i) {
    if (i > 0 && options.stop->poll()) break;
    options.start = guess.size() > 0 ? &guess : nullptr;
    options.locked = count > 1 ? &locked : nullptr;
    pairs.push_back(extreme_eigenpair(H, options));
    // Those after a wrong one are at the ends of another operator.
    if (i > 0 && !pairs[std::size_t(i) - 1].converged) pairs.back().converged = false;
    options.locked_residual = std::hypot(options.locked_residual, pairs.back().residual);
    options.norm = std::max({options.norm, pairs.back().norm, std::abs(pairs.back().value)});
    guess = pairs.back().next;
    options.random = LanczosOptions{}.random;
    if (i + 1 == count) break;
    locked.conservativeResize(Eigen::NoChange, i + 1);
    locked.col(i) = pairs.back().vector;
  }
  std::stable_sort(pairs.begin(), pairs.end(), [&](const Eigenpair& a, const Eigenpair& b) {
    return options.largest ? a.value > b.value : a.value < b.value;
  });
  return pairs;
}

template <class Operator>
std::vector<Eigenpair> eigenpairs(Operator& H, Index count, LanczosOptions options,
                                  const Vector* start) {
  const Index n = H.dimension();
  const bool fits = n <= largest_matrix / H.size();
  // A Krylov space of several eigenvectors and the search for repeated ones have about so many.
  const bool most = count > 1 && fits && 3 * count + 60 >= n;
  if ((n <= largest_dense_dimension || most) && n < options.max_products) {
    return dense_eigenpairs(H, count, options);
  }
  options.start = start;
  if (count > 1 && n <= largest_shared_basis) {
    return SeveralEigenpairs<Operator>(H, count, options).run();
  }
  // Without restarts a basis of the whole space is the end.
  if (count == 1 && fits) options.max_basis = n;
  return successive_eigenpairs(H, count, options);
}

// A Lanczos basis is small beside the weights, where they are large.
Index largest_basis(Index size, Index parameters) {
  constexpr Index numbers = Index(1) << 21;
  return std::clamp<Index>(std::max(numbers, parameters / 8) / size, 12, 256);
}

// The largest eigenpair where the residual part of the Hessian is negligible: there
// H = 2 J^T C J with J = dw/dW, and S = 2 lambda_max(B^T M B), M = sum_k |u_k|^2 A_k^T A_k,
// C = B B^T, a problem of the rank of C. Nothing where that does not hold to the tolerance.
std::optional<Eigenpair> eigenpair_at_minimizer(CompressedHessian& H, Landscape& landscape,
                                                const LanczosOptions& options) {
  constexpr Index largest_rank = 512;
  constexpr int norm_products = 6;
  const Problem& problem = landscape.problem();
  // |dR/dw|^2 is about the excess risk, and the residual part is linear in dR/dw.
  const double small = options.tolerance * options.tolerance * problem.risk.excess_of_zero();
  if (!(landscape.excess() <= small)) return {};
  const RowMatrix B = root_of_covariance(problem);
  if (B.cols() > largest_rank) return {};

  Eigenpair pair;
  Vector x(H.size()), y(H.size());
  fill_pseudorandom(x);
  H.project(x);
  double norm = 0;  // of the residual part, from below by power iterations
  for (; pair.products < norm_products; ++pair.products) {
    if (options.stop->poll()) return {};
    const double before = x.stableNorm();
    if (!(before > 0)) break;
    H.apply(x / before, y, false);
    norm = std::max(norm, y.stableNorm());
    x.swap(y);
  }
  const Matrix M = gauss_newton_matrix(landscape, B, *options.stop);
  if (options.stop->poll()) return {};
  const SymmetricEigen eigen = symmetric_eigen(M);
  x = H.gradient_of_map(B * eigen.vectors.rightCols(1));
  H.project(x);
  x.stableNormalize();
  H.apply(x, y);
  ++pair.products;
  pair.value = x.dot(y);
  pair.residual = (y - pair.value * x).stableNorm();
  pair.vector = x;
  pair.converged = pair.residual <= std::max(options.tolerance, 16 * epsilon) * pair.value;
  constexpr double safety = 4;
  const bool holds = safety * norm <= std::max(options.tolerance, 16 * epsilon) * pair.value;
  if (!holds || !pair.converged) return {};
  return pair;
}

// What there is to say where the Hessian is not finite
std::vector<Sharpness> not_finite(int count) {
  constexpr double nan = std::numeric_limits<double>::quiet_NaN();
  return std::vector<Sharpness>(count, Sharpness{nan, nan, 0, false});
}

Sharpness sharpness_of(const Eigenpair& pair, Direction vector) {
  return {pair.value, pair.residual, pair.products, pair.converged, std::move(vector)};
}

// Lanczos by three terms, without reorthogonalization: copies of eigenvalues that rounding brings
// in share the weight of the one that they are copies of.
template <class Operator>
SpectralDensity density_of(Operator& H, Index parameters, int vectors, int steps,
                           std::uint64_t seed, Stop& stop) {
  SpectralDensity density;
  density.zeros = double(parameters - H.dimension()) / double(parameters);
  steps = int(std::min<Index>(steps, H.dimension()));
  density.nodes = Matrix::Zero(steps, vectors);
  density.weights = Matrix::Zero(steps, vectors);
  if (steps == 0) return density;
  ProductUnit products;
  Vector q(H.size()), before(H.size()), w(H.size());
  Basis sums(H.team(), H.size(), 0);
  for (int i = 0; i < vectors; ++i) {
    fill_pseudorandom(q, seed * 0x9E3779B97F4A7C15u + std::uint64_t(i) + 1);
    q = q.cwiseSign();
    H.project(q);
    const double mass = q.squaredNorm() / double(parameters);
    q.normalize();
    before.setZero();
    Vector a = Vector::Zero(steps), b = Vector::Zero(steps);
    int taken = 0;
    double scale = 0;
    while (taken < steps) {
      if (stop.poll()) return density;
      H.apply(q, w);
      products.apply(w);
      a[taken] = q.dot(w);
      w.noalias() -= a[taken] * q;
      if (taken > 0) w.noalias() -= b[taken - 1] * before;
      const double norm = sums.norm(w);
      scale = std::max(scale, std::abs(a[taken]) + norm);
      b[taken++] = norm;
      if (!(norm > 16 * epsilon * scale)) break;
      before = q;
      q = w / norm;
    }
    // Of order one: the eigensolver takes what is small beside one for rounding.
    const double unit = scale > 0 ? scale : 1;
    const SymmetricEigen eigen = tridiagonal_eigen(a.head(taken) / unit, b.head(taken - 1) / unit);
    density.nodes.col(i).head(taken) = products.value() * (unit * eigen.values);
    density.weights.col(i).head(taken) = mass * eigen.vectors.row(0).transpose().cwiseAbs2();
  }
  return density;
}

}  // namespace

std::vector<Sharpness> extreme_eigenvalues(Landscape& landscape, int count, LanczosOptions options,
                                           const Direction* start) {
  const Layout& net = landscape.problem().net;
  if (!landscape.finite()) return not_finite(count);
  CompressedHessian H(landscape);
  std::vector<Eigenpair> pairs;
  if (H.dimension() > 0) {
    options.max_basis = std::min(options.max_basis, largest_basis(H.size(), net.parameters));
    Vector guess;
    if (start && !start->empty()) {
      guess =
          start->dense.size() > 0 ? H.compress(start->dense.data()) : H.compress(start->compressed);
    }
    if (count == 1 && options.largest && H.dimension() > largest_dense_dimension) {
      if (auto pair = eigenpair_at_minimizer(H, landscape, options)) pairs.push_back(*pair);
    }
    if (pairs.empty()) {
      if (guess.size() == 0) {
        // With as much of a random vector it takes up to a quarter less products than that alone.
        guess = H.gradient();
        options.random = 1;
      }
      pairs = eigenpairs(H, count, options, &guess);
    }
  }
  const auto overflows = [](const Eigenpair& pair) { return !std::isfinite(pair.value); };
  if (std::any_of(pairs.begin(), pairs.end(), overflows)) return not_finite(count);
  // The Hessian vanishes on the complement of its range: there are as many more zeros.
  std::vector<Sharpness> all;
  // That they are among the extreme ones is known where all the others are.
  const bool known =
      std::all_of(pairs.begin(), pairs.end(), [](const Eigenpair& pair) { return pair.converged; });
  Index zeros = net.parameters - H.dimension(), used = 0;
  std::size_t next = 0;
  while (int(all.size()) < count) {
    const bool more = next < pairs.size();
    const bool beyond = more && (options.largest ? pairs[next].value > 0 : pairs[next].value < 0);
    if (more && (beyond || used == zeros)) {
      const Eigenpair& pair = pairs[next++];
      all.push_back(sharpness_of(pair, {H.direction(pair.vector), {}}));
    } else if (used < zeros && (more || pairs.size() == std::size_t(H.dimension()))) {
      Sharpness zero;
      zero.converged = known;
      zero.vector.dense.resize(net.parameters);
      H.null_direction(used++, zero.vector.dense.data());
      all.push_back(std::move(zero));
    } else {
      break;
    }
  }
  // What lies beyond the zeros is left out, but what it took is not.
  for (Sharpness& one : all) {
    if (next == pairs.size()) break;
    if (one.vector.dense.size() > 0) one.products = pairs[next++].products;
  }
  return all;
}

std::vector<Sharpness> extreme_eigenvalues(SampleLandscape& landscape, int count,
                                           LanczosOptions options, const Direction* start) {
  const Layout& net = landscape.problem().net;
  if (!landscape.finite()) return not_finite(count);
  FullHessian H(landscape);
  Vector guess;
  if (start && !start->empty()) {
    guess.resize(net.parameters);
    start->expand(net, guess.data());
  }
  std::vector<Sharpness> all;
  for (Eigenpair& pair : eigenpairs(H, count, options, guess.size() > 0 ? &guess : nullptr)) {
    all.push_back(sharpness_of(pair, {{}, std::move(pair.vector)}));
  }
  return all;
}

Sharpness largest_of_layer(SampleLandscape& landscape, int k, const LanczosOptions& options) {
  if (!landscape.finite()) return not_finite(1).front();
  FullHessian H = FullHessian::of_layer(landscape, k);
  Eigenpair pair = eigenpairs(H, 1, options, nullptr).front();
  return sharpness_of(pair, {{}, std::move(pair.vector)});
}

SpectralDensity spectral_density(Landscape& landscape, int vectors, int steps, std::uint64_t seed,
                                 Stop& stop) {
  CompressedHessian H(landscape);
  return density_of(H, landscape.problem().net.parameters, vectors, steps, seed, stop);
}

SpectralDensity spectral_density(SampleLandscape& landscape, int vectors, int steps,
                                 std::uint64_t seed, Stop& stop) {
  FullHessian H(landscape);
  return density_of(H, landscape.problem().net.parameters, vectors, steps, seed, stop);
}

}  // namespace deeplinear
