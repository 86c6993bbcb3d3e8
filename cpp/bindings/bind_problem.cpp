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

Problem make_problem(const std::vector<int>& widths, const Array<double>& readout,
                     const Array<double>& covariance, const Array<double>& minimizer,
                     double minimum_risk, const std::optional<Array<double>>& test_covariance,
                     const std::optional<Array<double>>& test_half_gradient,
                     double test_risk_at_minimizer, const std::optional<std::string>& activation,
                     const std::optional<Array<double>>& inputs,
                     const std::optional<Array<double>>& targets,
                     const std::optional<Array<double>>& test_inputs,
                     const std::optional<Array<double>>& test_targets) {
  check_widths(widths);
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
           py::arg("covariance").noconvert(), py::arg("minimizer").noconvert(),
           py::arg("minimum_risk"), py::arg("test_covariance").noconvert(),
           py::arg("test_half_gradient").noconvert(), py::arg("test_risk_at_minimizer"),
           py::arg("activation"), py::arg("inputs").noconvert(), py::arg("targets").noconvert(),
           py::arg("test_inputs").noconvert(), py::arg("test_targets").noconvert());
}

}  // namespace deeplinear::bindings
