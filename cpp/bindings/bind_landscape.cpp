#include <cstring>
#include <optional>
#include <stdexcept>

#include <pybind11/stl.h>

#include "arrays.hpp"
#include "bindings.hpp"
#include "hessian/full.hpp"
#include "landscape/layer_maps.hpp"
#include "monitor.hpp"
#include "objects.hpp"
#include "threads/teams.hpp"
#include "wide/all_finite.hpp"

namespace deeplinear::bindings {

namespace {

template <class AnyLandscape>
inline constexpr bool is_by_samples = std::decay_t<AnyLandscape>::by_samples;

// More bring less than three digits are worth.
constexpr int most_vectors = 1000000;

struct NotFinite : std::domain_error {
  NotFinite() : std::domain_error("weights are not finite") {}
};

// Calls body(landscape) without the GIL, with the landscape evaluated at the weights (P,), by a
// team of at most so many threads. Throws where the weights are not finite, but for landscapes
// through the samples. An exception of the body comes back with the GIL.
template <class Body>
void at(const Problem& problem, const Array<double>& weights, int threads, Body body) {
  require_shape(weights, "weights", {problem.net.parameters});
  require_threads(threads);
  const double* W = weights.data();
  const int most = problem.by_samples() ? most_useful_threads(problem)
                                        : WideChain<double>::most_useful_threads(problem.net);
  py::gil_scoped_release release;
  with_teams(1, std::min(threads, most), [&](int, Team& team) {
    if (problem.by_samples()) {
      // Memory of known alignment: the order in which Eigen sums depends on it.
      const AlignedVector<double> aligned(W, W + problem.net.parameters);
      SampleLandscape landscape(problem, team);
      landscape.evaluate({aligned.data()});
      return body(landscape);
    }
    Landscape landscape(problem, team);
    landscape.evaluate({W});
    // A weight that is not finite leaves nothing finite in its column, whatever it is multiplied
    // by.
    if (!landscape.finite() && !all_finite(team, problem.net.parameters, W)) throw NotFinite();
    body(landscape);
  });
}

Array<double> end_to_end(const Problem& problem, const Array<double>& weights, int threads) {
  require(!problem.by_samples() || problem.samples.activation == Activation::identity, "problem",
          "is not linear");
  auto out = empty<double>({problem.net.widths[0]});
  double* to = out.mutable_data();
  at(problem, weights, threads, [&](const auto& landscape) {
    const auto& w = landscape.end_to_end();
    std::memcpy(to, &w[0], sizeof(double) * std::size_t(problem.net.widths[0]));
  });
  return out;
}

double risk(const Problem& problem, const Array<double>& weights, int threads) {
  double excess = 0;
  at(problem, weights, threads, [&](const auto& landscape) { excess = landscape.excess(); });
  return problem.risk.minimum + excess;
}

Array<double> gradient(const Problem& problem, const Array<double>& weights, int threads) {
  auto out = empty<double>({problem.net.parameters});
  double* to = out.mutable_data();
  at(problem, weights, threads, [&](auto& landscape) { landscape.gradient(to); });
  return out;
}

Array<double> hessian_vector_product(const Problem& problem, const Array<double>& weights,
                                     const Array<double>& direction, int threads) {
  require_shape(direction, "direction", {problem.net.parameters});
  auto out = empty<double>({problem.net.parameters});
  double* to = out.mutable_data();
  const double* V = direction.data();
  at(problem, weights, threads, [&](auto& landscape) { landscape.hessian_vector_product(V, to); });
  return out;
}

// Column by column, each a product with a unit vector; symmetric, so rows are columns.
Array<double> hessian(const Problem& problem, const Array<double>& weights, int threads) {
  const auto size = problem.net.parameters;
  auto out = empty<double>({size, size});
  double* to = out.mutable_data();
  Interruption interruption;
  at(problem, weights, threads, [&](auto& landscape) {
    Stop& stop = interruption.stop();
    std::vector<double> unit(std::size_t(size), 0.0);
    for (Layout::Index i = 0; i < size; ++i) {
      if (stop.poll()) return;
      unit[std::size_t(i)] = 1;
      landscape.hessian_vector_product(unit.data(), to + i * size);
      unit[std::size_t(i)] = 0;
    }
    Eigen::Map<RowMatrix> H(to, size, size);
    H = (0.5 * (H + H.transpose())).eval();
  });
  interruption.rethrow();
  return out;
}

Array<double> compressed_hessian(const Problem& problem, const Array<double>& weights,
                                 int threads) {
  Eigen::MatrixXd H;
  Interruption interruption;
  at(problem, weights, threads, [&](auto& landscape) {
    if constexpr (is_by_samples<decltype(landscape)>) {
      throw std::invalid_argument("the Hessian of a mean over samples has no compressed form");
    } else {
      CompressedHessian compressed(landscape);
      H = compressed.matrix(compressed.basis(), interruption.stop());
    }
  });
  interruption.rethrow();
  auto out = empty<double>({H.rows(), H.cols()});
  std::copy_n(H.data(), H.size(), out.mutable_data());
  return out;
}

double trace(const Problem& problem, const Array<double>& weights, int threads) {
  double sum = 0;
  Interruption interruption;
  at(problem, weights, threads, [&](auto& landscape) {
    if constexpr (is_by_samples<decltype(landscape)>) {
      sum = FullHessian(landscape).trace(interruption.stop());
    } else {
      sum = hessian_trace(landscape, root_of_covariance(problem), interruption.stop());
    }
  });
  interruption.rethrow();
  return sum;
}

// A list of (value, residual, products, converged, direction)
py::list bind_extreme_eigenvalues(const Problem& problem, const Array<double>& weights, int count,
                                  bool largest, double tolerance, std::int64_t max_products,
                                  const std::optional<Direction>& start, int threads) {
  require(count >= 1, "count", "is not positive");
  require(count <= problem.net.parameters, "count", "is above the number of weights");
  require_non_negative(tolerance, "tolerance");
  require(max_products >= 1, "max_products", "is not positive");
  require(!start || start->fits(problem.net), "start", "has a wrong shape");
  Interruption interruption;
  LanczosOptions options;
  options.largest = largest;
  options.tolerance = tolerance;
  options.max_products = max_products;
  options.stop = &interruption.stop();
  std::vector<Sharpness> found;
  at(problem, weights, threads, [&](auto& landscape) {
    found = extreme_eigenvalues(landscape, count, options, start ? &*start : nullptr);
  });
  interruption.rethrow();
  py::list list;
  for (Sharpness& one : found) {
    list.append(py::make_tuple(one.value, one.residual, one.products, one.converged,
                               std::move(one.vector)));
  }
  return list;
}

Array<double> to_array(const Eigen::MatrixXd& matrix) {
  auto out = empty<double>({matrix.cols(), matrix.rows()});
  std::copy_n(matrix.data(), matrix.size(), out.mutable_data());
  return out;
}

// Nodes and weights (vectors, steps), and the share of the eigenvalue zero
py::tuple bind_spectral_density(const Problem& problem, const Array<double>& weights, int vectors,
                                int steps, std::uint64_t seed, int threads) {
  require(vectors >= 1 && vectors <= most_vectors, "vectors", "is not from 1 to 1,000,000");
  require(steps >= 1, "steps", "is not positive");
  Interruption interruption;
  SpectralDensity density;
  at(problem, weights, threads, [&](auto& landscape) {
    density = spectral_density(landscape, vectors, steps, seed, interruption.stop());
  });
  interruption.rethrow();
  return py::make_tuple(to_array(density.nodes), to_array(density.weights), density.zeros);
}

template <class Scalar>
bool bind_all_finite(const Array<Scalar>& vector, int threads) {
  require_aligned(vector, "vector");
  require_threads(threads);
  const Scalar* x = vector.data();
  const py::ssize_t size = vector.size(), smallest_part = 1 << 18;
  bool finite = false;
  py::gil_scoped_release release;
  with_teams(1, int(std::min<py::ssize_t>(threads, 1 + size / smallest_part)),
             [&](int, Team& team) { finite = all_finite(team, size, x); });
  return finite;
}

Direction dense_direction(const Array<double>& vector) {
  require_shape(vector, "vector", {vector.size()});
  Direction direction;
  direction.dense = Eigen::Map<const Eigen::VectorXd>(vector.data(), vector.size());
  return direction;
}

Array<double> expand(const Direction& direction, const std::vector<int>& widths) {
  check_widths(widths);
  const Layout net(widths);
  require(direction.empty() || direction.fits(net), "widths", "are of another network");
  auto out = empty<double>({net.parameters});
  direction.expand(net, out.mutable_data());
  return out;
}

py::tuple state_of(const Direction& direction) {
  const auto& [compressed, dense] = direction;
  const auto as_array = [](const Eigen::VectorXd& x) { return Array<double>(x.size(), x.data()); };
  return py::make_tuple(as_array(compressed.uhat), as_array(compressed.vhat),
                        as_array(compressed.coordinates), as_array(dense));
}

Direction direction_of(const py::tuple& state) {
  require(state.size() == 4, "state", "has a wrong length");
  const auto vector = [&](int i) -> Eigen::VectorXd {
    const py::object part = state[std::size_t(i)];
    require(py::isinstance<Array<double>>(part), "state", "holds something else than vectors");
    const auto array = py::reinterpret_borrow<Array<double>>(part);
    Eigen::VectorXd x(array.size());
    // Byte by byte: what came in a buffer may begin anywhere.
    std::copy_n(reinterpret_cast<const char*>(array.data()), array.nbytes(),
                reinterpret_cast<char*>(x.data()));
    return x;
  };
  return {{vector(0), vector(1), vector(2)}, vector(3)};
}

// That of object() calls pybind11's base class at the protocols 0 and 1, which ends the process.
py::tuple reduce(const py::object& direction, const py::object& /*protocol*/) {
  const py::object make = py::module_::import("copyreg").attr("__newobj__");
  return py::make_tuple(make, py::make_tuple(py::type::of(direction)),
                        direction.attr("__getstate__")());
}

}  // namespace

void register_landscape(py::module_& module) {
  const auto problem = py::arg("problem");
  const auto weights = py::arg("weights").noconvert();
  const auto threads = py::arg("threads");
  py::register_local_exception<NotFinite>(module, "NotFiniteError", PyExc_ValueError);
  py::class_<Direction>(module, "Direction", py::module_local())
      .def(py::init(&dense_direction), py::arg("vector").noconvert())
      .def("expand", &expand, py::arg("widths"))
      .def(py::pickle(&state_of, &direction_of))
      .def("__reduce_ex__", &reduce, py::arg("protocol"));
  module.def("all_finite", &bind_all_finite<double>, py::arg("vector").noconvert(), threads);
  module.def("all_finite", &bind_all_finite<float>, py::arg("vector").noconvert(), threads);
  module.def("end_to_end", &end_to_end, problem, weights, threads);
  module.def("risk", &risk, problem, weights, threads);
  module.def("gradient", &gradient, problem, weights, threads);
  module.def("hessian_vector_product", &hessian_vector_product, problem, weights,
             py::arg("direction").noconvert(), threads);
  module.def("hessian", &hessian, problem, weights, threads);
  module.def("compressed_hessian", &compressed_hessian, problem, weights, threads);
  module.def("hessian_trace", &trace, problem, weights, threads);
  module.def("extreme_eigenvalues", &bind_extreme_eigenvalues, problem, weights, py::arg("count"),
             py::arg("largest"), py::arg("tolerance"), py::arg("max_products"), py::arg("start"),
             threads);
  module.def("spectral_density", &bind_spectral_density, problem, weights, py::arg("vectors"),
             py::arg("steps"), py::arg("seed"), threads);
}

}  // namespace deeplinear::bindings
