#include <limits>

#include <pybind11/stl.h>

#include "arrays.hpp"
#include "bindings.hpp"
#include "objects.hpp"
#include "tables.hpp"

namespace deeplinear::bindings {

namespace {

using OptionalArray = std::optional<Array<double>>;

// F (r, d) and c (r,)
Modes make_modes(const Array<double>& factor, const Array<double>& target) {
  const py::ssize_t rank = target.ndim() == 1 ? target.shape(0) : 0;
  const py::ssize_t d = factor.ndim() == 2 ? factor.shape(1) : 0;
  constexpr py::ssize_t most = std::numeric_limits<int>::max();
  require(rank >= 1 && rank <= most, "target", "has a wrong shape");
  require(d >= 1 && d <= most, "factor", "has a wrong shape");
  require_shape(factor, "factor", {rank, d});
  Modes modes{{factor.data(), factor.data() + rank * d}, {}, to_vector(target, "target", rank)};
  modes.transposed.reserve(modes.factor.size());
  for (py::ssize_t j = 0; j < d; ++j) {
    for (py::ssize_t i = 0; i < rank; ++i) {
      modes.transposed.push_back(modes.factor[std::size_t(i * d + j)]);
    }
  }
  return modes;
}

py::ssize_t inputs_of(const Modes& modes) {
  return py::ssize_t(modes.factor.size() / modes.target.size());
}

TestRisk make_test_risk(const OptionalArray& covariance, const OptionalArray& half_gradient,
                        double at_minimizer, const std::optional<Modes>& modes, double rest) {
  require(covariance.has_value() == half_gradient.has_value(), "half_gradient",
          "and covariance don't come together");
  require(covariance || modes, "covariance", "and modes are missing");
  TestRisk test;
  test.given = true;
  if (covariance) {
    const py::ssize_t d = half_gradient->ndim() == 1 ? half_gradient->shape(0) : 0;
    test.covariance = to_matrix(*covariance, "covariance", d);
    test.half_gradient = to_vector(*half_gradient, "half_gradient", d);
  }
  test.at_minimizer = at_minimizer;
  if (modes) test.modes = *modes;
  test.rest = rest;
  return test;
}

Risk make_risk(const Array<double>& minimizer, double minimum, const OptionalArray& covariance,
               const std::optional<Modes>& modes, const std::optional<TestRisk>& test) {
  const py::ssize_t d = minimizer.ndim() == 1 ? minimizer.shape(0) : 0;
  require(d >= 1 && d <= std::numeric_limits<int>::max(), "minimizer", "has a wrong shape");
  Risk risk;
  risk.dimension = int(d);
  risk.minimizer = to_vector(minimizer, "minimizer", d);
  risk.minimum = minimum;
  if (covariance) risk.covariance = to_matrix(*covariance, "covariance", d);
  if (modes) risk.modes = *modes;
  require(!modes || inputs_of(*modes) == d, "modes", "are of another dimension");
  if (!test) return risk;
  // The test risk has each form that the risk has.
  const bool same = risk.covariance.empty() == test->covariance.empty() &&
                    risk.modes.empty() == test->modes.empty();
  require(same, "covariance", "and modes aren't the forms of the test risk");
  const bool fits = (!covariance || test->half_gradient.size() == std::size_t(d)) &&
                    (!modes || inputs_of(test->modes) == d);
  require(fits, "test", "is of another dimension");
  risk.test = *test;
  return risk;
}

SampleSet make_sample_set(const Array<double>& inputs, const Array<double>& targets) {
  const py::ssize_t n = targets.ndim() == 1 ? targets.shape(0) : 0;
  const py::ssize_t d = inputs.ndim() == 2 ? inputs.shape(1) : 0;
  require(n <= std::numeric_limits<int>::max(), "targets", "has too many entries");
  require(n > 0, "targets", "is empty");
  require_shape(inputs, "inputs", {n, d});
  return {{inputs.data(), inputs.data() + n * d}, to_vector(targets, "targets", n)};
}

Samples make_samples(const std::string& activation, const std::string& loss, const SampleSet& train,
                     const std::optional<SampleSet>& test) {
  Samples samples;
  samples.activation = Activation(index_of<Activations>(activation, "activation"));
  samples.loss = LossFunction(index_of<Losses>(loss, "loss"));
  samples.train = train;
  if (test) samples.test = *test;
  return samples;
}

bool fits(const SampleSet& set, py::ssize_t d) {
  return set.inputs.size() == set.targets.size() * std::size_t(d);
}

Problem make_problem(const std::vector<int>& widths, const Array<double>& readout, const Risk& risk,
                     const std::optional<Samples>& samples) {
  check_widths(widths);
  const int d = widths.front();
  require(risk.dimension == d, "risk", "is of another dimension");
  require(samples || !risk.covariance.empty() || !risk.modes.empty(), "risk",
          "has neither covariance nor modes");
  Problem problem{Layout(widths), to_vector(readout, "readout", widths.back()), risk};
  if (samples) {
    require(fits(samples->train, d) && fits(samples->test, d), "samples",
            "are of another dimension");
    problem.samples = *samples;
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
  using Local = py::module_local;
  py::class_<Modes> modes(module, "Modes", Local());
  modes.def(py::init(&make_modes), py::arg("factor").noconvert(), py::arg("target").noconvert());
  py::class_<TestRisk> test(module, "TestRisk", Local());
  test.def(py::init(&make_test_risk), py::arg("covariance").noconvert(),
           py::arg("half_gradient").noconvert(), py::arg("at_minimizer"), py::arg("modes"),
           py::arg("rest"));
  py::class_<Risk> risk(module, "Risk", Local());
  risk.def(py::init(&make_risk), py::arg("minimizer").noconvert(), py::arg("minimum"),
           py::arg("covariance").noconvert(), py::arg("modes"), py::arg("test"));
  py::class_<SampleSet> set(module, "SampleSet", Local());
  set.def(py::init(&make_sample_set), py::arg("inputs").noconvert(),
          py::arg("targets").noconvert());
  py::class_<Samples> samples(module, "Samples", Local());
  samples.def(py::init(&make_samples), py::arg("activation"), py::arg("loss"), py::arg("train"),
              py::arg("test"));
  py::class_<Problem> problem(module, "Problem", Local());
  problem.def(py::init(&make_problem), py::arg("widths"), py::arg("readout").noconvert(),
              py::arg("risk"), py::arg("samples"));
  refuse_pickle(modes, "Landscape");
  refuse_pickle(test, "Landscape");
  refuse_pickle(risk, "Landscape");
  refuse_pickle(set, "Landscape");
  refuse_pickle(samples, "Landscape");
  refuse_pickle(problem, "Landscape");
}

}  // namespace deeplinear::bindings
