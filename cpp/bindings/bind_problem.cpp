#include <limits>

#include <pybind11/stl.h>

#include "arrays.hpp"
#include "bindings.hpp"
#include "landscape.hpp"

namespace deeplinear::bindings {

namespace {

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

// None, or F (r, d) and c (r,) together
Modes to_modes(const std::optional<Array<double>>& factor,
               const std::optional<Array<double>>& target, const char* name, py::ssize_t d) {
  if (!factor || !target) return {};
  const py::ssize_t rank = target->ndim() == 1 ? target->shape(0) : 0;
  if (rank < 1) throw std::invalid_argument(std::string(name) + " has no rows");
  require_shape(*factor, name, {rank, d});
  return {{factor->data(), factor->data() + rank * d}, to_vector(*target, name, rank)};
}

Problem make_problem(
    const std::vector<int>& widths, const Array<double>& readout, const Array<double>& minimizer,
    double minimum_risk, const std::optional<Array<double>>& covariance,
    const std::optional<Array<double>>& factor, const std::optional<Array<double>>& target,
    const std::optional<Array<double>>& test_covariance,
    const std::optional<Array<double>>& test_half_gradient, double test_risk_at_minimizer,
    const std::optional<Array<double>>& test_factor,
    const std::optional<Array<double>>& test_target, double test_rest,
    const std::optional<std::string>& activation, const std::optional<Array<double>>& inputs,
    const std::optional<Array<double>>& targets, const std::optional<Array<double>>& test_inputs,
    const std::optional<Array<double>>& test_targets) {
  check_widths(widths);
  const int d = widths.front();
  Problem problem{Layout(widths), to_vector(readout, "readout", widths.back()), {}};
  Risk& risk = problem.risk;
  risk.dimension = d;
  risk.minimizer = to_vector(minimizer, "minimizer", d);
  risk.minimum = minimum_risk;
  if (covariance) risk.covariance = to_matrix(*covariance, "covariance", d);
  risk.modes = to_modes(factor, target, "factor", d);
  if (test_covariance && test_half_gradient) {
    risk.test.covariance = to_matrix(*test_covariance, "test_covariance", d);
    risk.test.half_gradient = to_vector(*test_half_gradient, "test_half_gradient", d);
    risk.test.at_minimizer = test_risk_at_minimizer;
  }
  risk.test.modes = to_modes(test_factor, test_target, "test_factor", d);
  risk.test.rest = test_rest;
  risk.test.given = !risk.test.covariance.empty() || !risk.test.modes.empty();
  if (activation && inputs && targets) {
    problem.samples.activation = activation_of(*activation);
    problem.samples.train = to_samples(*inputs, *targets, d);
    if (problem.samples.train.count() == 0) throw std::invalid_argument("targets is empty");
    if (test_inputs && test_targets) {
      problem.samples.test = to_samples(*test_inputs, *test_targets, d);
    }
  } else if (risk.covariance.empty() && risk.modes.empty()) {
    throw std::invalid_argument("covariance and factor are both missing");
  }
  // Each form of the risk needs its own of the test risk.
  if (risk.test.given && ((!risk.covariance.empty() && risk.test.covariance.empty()) ||
                          (!risk.modes.empty() && risk.test.modes.empty()))) {
    throw std::invalid_argument("the test risk lacks a form that the risk has");
  }
  return problem;
}

}  // namespace

void check_widths(const std::vector<int>& widths) {
  if (widths.size() < 2) throw std::invalid_argument("widths has fewer than two entries");
  double parameters = 0;
  for (std::size_t k = 0; k < widths.size(); ++k) {
    if (widths[k] < 1) throw std::invalid_argument("widths has an entry below one");
    if (k > 0) parameters += double(widths[k]) * widths[k - 1];
  }
  if (parameters > double(std::numeric_limits<std::int64_t>::max() / 1024)) {
    throw std::invalid_argument("widths has too many parameters");
  }
}

void register_problem(py::module_& module) {
  py::class_<Problem>(module, "Problem", py::module_local())
      .def(py::init(&make_problem), py::arg("widths"), py::arg("readout").noconvert(),
           py::arg("minimizer").noconvert(), py::arg("minimum_risk"),
           py::arg("covariance").noconvert(), py::arg("factor").noconvert(),
           py::arg("target").noconvert(), py::arg("test_covariance").noconvert(),
           py::arg("test_half_gradient").noconvert(), py::arg("test_risk_at_minimizer"),
           py::arg("test_factor").noconvert(), py::arg("test_target").noconvert(),
           py::arg("test_rest"), py::arg("activation"), py::arg("inputs").noconvert(),
           py::arg("targets").noconvert(), py::arg("test_inputs").noconvert(),
           py::arg("test_targets").noconvert());
}

}  // namespace deeplinear::bindings
