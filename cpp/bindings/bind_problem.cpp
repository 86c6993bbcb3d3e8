#include <limits>

#include <pybind11/stl.h>

#include "arrays.hpp"
#include "bindings.hpp"
#include "objects.hpp"

namespace deeplinear::bindings {

namespace {

Activation activation_of(const std::string& name) {
  if (name == "identity") return Activation::identity;
  if (name == "gelu") return Activation::gelu;
  if (name == "tanh") return Activation::tanh;
  if (name == "relu") return Activation::relu;
  throw std::invalid_argument("activation is unknown");
}

SampleSet to_samples(const Array<double>& inputs, const char* inputs_name,
                     const Array<double>& targets, const char* targets_name, py::ssize_t d) {
  const py::ssize_t n = targets.ndim() == 1 ? targets.shape(0) : 0;
  require(n <= std::numeric_limits<int>::max(), targets_name, "has too many entries");
  require_shape(inputs, inputs_name, {n, d});
  return {{inputs.data(), inputs.data() + n * d}, to_vector(targets, targets_name, n)};
}

// None, or F (r, d) and c (r,) together
Modes to_modes(const std::optional<Array<double>>& factor, const char* factor_name,
               const std::optional<Array<double>>& target, const char* target_name, py::ssize_t d) {
  require(factor.has_value() == target.has_value(), factor_name, "has no target, or the reverse");
  if (!factor) return {};
  const py::ssize_t rank = target->ndim() == 1 ? target->shape(0) : 0;
  require(rank >= 1 && rank <= std::numeric_limits<int>::max(), target_name, "has a wrong shape");
  require_shape(*factor, factor_name, {rank, d});
  Modes modes{
      {factor->data(), factor->data() + rank * d}, {}, to_vector(*target, target_name, rank)};
  modes.transposed.reserve(modes.factor.size());
  for (py::ssize_t j = 0; j < d; ++j) {
    for (py::ssize_t i = 0; i < rank; ++i) {
      modes.transposed.push_back(modes.factor[std::size_t(i * d + j)]);
    }
  }
  return modes;
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
  risk.modes = to_modes(factor, "factor", target, "target", d);
  require(test_covariance.has_value() == test_half_gradient.has_value(), "test_half_gradient",
          "and test_covariance don't come together");
  if (test_covariance) {
    risk.test.covariance = to_matrix(*test_covariance, "test_covariance", d);
    risk.test.half_gradient = to_vector(*test_half_gradient, "test_half_gradient", d);
    risk.test.at_minimizer = test_risk_at_minimizer;
  }
  risk.test.modes = to_modes(test_factor, "test_factor", test_target, "test_target", d);
  risk.test.rest = test_rest;
  risk.test.given = test_covariance || test_factor;
  // The test risk has each form that the risk has.
  const bool same = covariance.has_value() == test_covariance.has_value() &&
                    factor.has_value() == test_factor.has_value();
  require(!risk.test.given || same, "covariance", "and factor aren't the forms of the test risk");
  require(inputs.has_value() == targets.has_value() && inputs.has_value() == activation.has_value(),
          "activation", "and inputs and targets don't come together");
  require(test_inputs.has_value() == test_targets.has_value() && (inputs || !test_inputs),
          "test_inputs", "come without test_targets or inputs");
  require(covariance || factor || inputs, "covariance", "and factor and inputs are missing");
  if (inputs) {
    problem.samples.activation = activation_of(*activation);
    problem.samples.train = to_samples(*inputs, "inputs", *targets, "targets", d);
    require(problem.samples.train.count() > 0, "targets", "is empty");
    if (test_inputs) {
      problem.samples.test =
          to_samples(*test_inputs, "test_inputs", *test_targets, "test_targets", d);
    }
  }
  return problem;
}

}  // namespace

void check_widths(const std::vector<int>& widths) {
  require(widths.size() >= 2, "widths", "has fewer than two entries");
  double parameters = 0;
  for (std::size_t k = 0; k < widths.size(); ++k) {
    require(widths[k] >= 1, "widths", "has an entry below one");
    if (k > 0) parameters += double(widths[k]) * widths[k - 1];
  }
  require(parameters <= double(std::numeric_limits<std::int64_t>::max() / 1024), "widths",
          "has too many parameters");
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
           py::arg("test_targets").noconvert())
      .def(
          "__reduce_ex__",
          [](const py::object&, const py::object&) -> py::object {
            throw py::type_error("a Problem cannot be pickled; its Landscape can.");
          },
          py::arg("protocol"));
}

}  // namespace deeplinear::bindings
