#include <chrono>
#include <cstring>
#include <limits>

#include <pybind11/stl.h>

#include "arrays.hpp"
#include "bindings.hpp"
#include "compressed.hpp"
#include "full_hessian.hpp"
#include "landscape.hpp"
#include "monitor.hpp"
#include "sharpness.hpp"

namespace deeplinear::bindings {

namespace {

using Number = Pack<double, 1>;

const Number* numbers(const Array<double>& array) {
  return reinterpret_cast<const Number*>(array.data());
}

Activation activation_of(const std::string& name) {
  if (name == "identity") return Activation::identity;
  if (name == "gelu") return Activation::gelu;
  if (name == "tanh") return Activation::tanh;
  if (name == "relu") return Activation::relu;
  throw std::invalid_argument("activation is unknown");
}

SampleSet to_samples(const Array<double>& inputs, const Array<double>& targets, py::ssize_t d) {
  const py::ssize_t n = targets.ndim() == 1 ? targets.shape(0) : 0;
  require_shape(inputs, "inputs", {n, d});
  return {{inputs.data(), inputs.data() + n * d}, to_vector(targets, "targets", n)};
}

Problem make_problem(const std::vector<int>& widths, const Array<double>& readout,
                     const Array<double>& covariance, const Array<double>& minimizer,
                     double minimum_risk, const std::optional<Array<double>>& test_covariance,
                     const std::optional<Array<double>>& test_half_gradient,
                     double test_risk_at_minimizer, const std::optional<std::string>& activation,
                     const std::optional<Array<double>>& inputs,
                     const std::optional<Array<double>>& targets,
                     const std::optional<Array<double>>& test_inputs,
                     const std::optional<Array<double>>& test_targets) {
  if (widths.size() < 2) throw std::invalid_argument("widths has fewer than two entries");
  double parameters = 0;
  for (std::size_t k = 0; k < widths.size(); ++k) {
    if (widths[k] < 1) throw std::invalid_argument("widths has an entry below one");
    if (k > 0) parameters += double(widths[k]) * widths[k - 1];
  }
  if (parameters > double(std::numeric_limits<std::int64_t>::max() / 1024)) {
    throw std::invalid_argument("widths has too many parameters");
  }
  const int d = widths.front();
  Problem problem{Layout(widths), to_vector(readout, "readout", widths.back()), {}};
  problem.risk.dimension = d;
  problem.risk.covariance = to_matrix(covariance, "covariance", d);
  problem.risk.minimizer = to_vector(minimizer, "minimizer", d);
  problem.risk.minimum = minimum_risk;
  if (test_covariance && test_half_gradient) {
    problem.risk.test.covariance = to_matrix(*test_covariance, "test_covariance", d);
    problem.risk.test.half_gradient = to_vector(*test_half_gradient, "test_half_gradient", d);
    problem.risk.test.at_minimizer = test_risk_at_minimizer;
  }
  if (activation && inputs && targets) {
    problem.samples.activation = activation_of(*activation);
    problem.samples.train = to_samples(*inputs, *targets, d);
    if (problem.samples.train.count() == 0) throw std::invalid_argument("targets is empty");
    if (test_inputs && test_targets) {
      problem.samples.test = to_samples(*test_inputs, *test_targets, d);
    }
  }
  return problem;
}

// Calls body(landscape) without the GIL, with the landscape evaluated at the weights (P,).
template <class Body>
auto at(const Problem& problem, const Array<double>& weights, Body body) {
  require_shape(weights, "weights", {problem.net.parameters});
  const Number* given = numbers(weights);
  py::gil_scoped_release release;
  const AlignedVector<Number> W(given, given + problem.net.parameters);
  if (problem.by_samples()) {
    SampleLandscape landscape(problem);
    landscape.evaluate(W.data());
    return body(landscape);
  }
  Landscape<Number> landscape(problem);
  landscape.evaluate(W.data());
  return body(landscape);
}

Array<double> end_to_end(const Problem& problem, const Array<double>& weights) {
  Array<double> out(problem.net.widths[0]);
  double* to = out.mutable_data();
  at(problem, weights, [&](const auto& landscape) {
    const auto& w = landscape.end_to_end();
    std::memcpy(to, &w[0], sizeof(double) * std::size_t(problem.net.widths[0]));
  });
  return out;
}

double risk(const Problem& problem, const Array<double>& weights) {
  return problem.risk.minimum +
         at(problem, weights, [](const auto& landscape) { return landscape.excess().lane(0); });
}

Array<double> gradient(const Problem& problem, const Array<double>& weights) {
  Array<double> out(problem.net.parameters);
  auto* to = reinterpret_cast<Number*>(out.mutable_data());
  at(problem, weights, [&](auto& landscape) { landscape.gradient(to); });
  return out;
}

Array<double> hessian_vector_product(const Problem& problem, const Array<double>& weights,
                                     const Array<double>& direction) {
  require_shape(direction, "direction", {problem.net.parameters});
  Array<double> out(problem.net.parameters);
  auto* to = reinterpret_cast<Number*>(out.mutable_data());
  const Number* V = numbers(direction);
  at(problem, weights, [&](auto& landscape) { landscape.hessian_vector_product(V, to); });
  return out;
}

// Column by column, each a product with a unit vector; symmetric, so rows are columns.
Array<double> hessian(const Problem& problem, const Array<double>& weights) {
  const auto size = problem.net.parameters;
  Array<double> out({size, size});
  double* to = out.mutable_data();
  at(problem, weights, [&](auto& landscape) {
    std::vector<Number> unit(size, zero<Number>());
    for (Layout::Index i = 0; i < size; ++i) {
      unit[i] = Number(1.0);
      landscape.hessian_vector_product(unit.data(), reinterpret_cast<Number*>(to + i * size));
      unit[i] = Number(0.0);
    }
    Eigen::Map<RowMatrix> H(to, size, size);
    H = (0.5 * (H + H.transpose())).eval();
  });
  return out;
}

Array<double> compressed_hessian(const Problem& problem, const Array<double>& weights) {
  const Eigen::MatrixXd H = at(problem, weights, [](const auto& landscape) -> Eigen::MatrixXd {
    if constexpr (std::decay_t<decltype(landscape)>::by_samples) {
      throw std::invalid_argument("the Hessian of a mean over samples has no compressed form");
    } else {
      CompressedHessian compressed(landscape);
      return compressed.matrix(compressed.basis());
    }
  });
  Array<double> out({H.rows(), H.cols()});
  std::copy_n(H.data(), H.size(), out.mutable_data());
  return out;
}

double trace(const Problem& problem, const Array<double>& weights) {
  return at(problem, weights, [](auto& landscape) {
    if constexpr (std::decay_t<decltype(landscape)>::by_samples) {
      return FullHessian(landscape).trace();
    } else {
      return hessian_trace(landscape);
    }
  });
}

py::tuple bind_extreme_eigenvalue(const Problem& problem, const Array<double>& weights,
                                  bool largest, double tolerance, std::int64_t max_products,
                                  const std::optional<Array<double>>& start) {
  if (start) require_shape(*start, "start", {problem.net.parameters});
  const double* first = start ? start->data() : nullptr;
  Array<double> vector(problem.net.parameters);
  double* to = vector.mutable_data();
  SignalMonitor monitor;
  auto asked = std::chrono::steady_clock::now();
  LanczosOptions options;
  options.largest = largest;
  options.tolerance = tolerance;
  options.max_products = max_products;
  options.interrupted = [&] {
    const auto now = std::chrono::steady_clock::now();
    if (now - asked < std::chrono::milliseconds(100)) return false;
    asked = now;
    return monitor(0);
  };
  const Sharpness result = at(problem, weights, [&](auto& landscape) {
    return extreme_eigenvalue(landscape, options, to, first);
  });
  monitor.rethrow(true);
  return py::make_tuple(result.value, result.residual, result.products, result.converged, vector);
}

}  // namespace

void register_problem(py::module_& module) {
  py::class_<Problem>(module, "Problem", py::module_local())
      .def(py::init(&make_problem), py::arg("widths"), py::arg("readout").noconvert(),
           py::arg("covariance").noconvert(), py::arg("minimizer").noconvert(),
           py::arg("minimum_risk"), py::arg("test_covariance").noconvert(),
           py::arg("test_half_gradient").noconvert(), py::arg("test_risk_at_minimizer"),
           py::arg("activation"), py::arg("inputs").noconvert(), py::arg("targets").noconvert(),
           py::arg("test_inputs").noconvert(), py::arg("test_targets").noconvert())
      .def("end_to_end", &end_to_end, py::arg("weights").noconvert())
      .def("risk", &risk, py::arg("weights").noconvert())
      .def("gradient", &gradient, py::arg("weights").noconvert())
      .def("hessian_vector_product", &hessian_vector_product, py::arg("weights").noconvert(),
           py::arg("direction").noconvert())
      .def("hessian", &hessian, py::arg("weights").noconvert())
      .def("compressed_hessian", &compressed_hessian, py::arg("weights").noconvert())
      .def("hessian_trace", &trace, py::arg("weights").noconvert())
      .def("extreme_eigenvalue", &bind_extreme_eigenvalue, py::arg("weights").noconvert(),
           py::arg("largest"), py::arg("tolerance"), py::arg("max_products"),
           py::arg("start").noconvert());
}

}  // namespace deeplinear::bindings
