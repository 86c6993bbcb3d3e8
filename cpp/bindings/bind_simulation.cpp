#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <string>

#include <pybind11/stl.h>

#include "arrays.hpp"
#include "bindings.hpp"
#include "monitor.hpp"
#include "objects.hpp"
#include "run/simulate.hpp"

namespace deeplinear::bindings {

namespace {

Method method_of(const std::string& name) {
  if (name == "euler") return Method::euler;
  if (name == "rk4") return Method::rk4;
  if (name == "dopri5") return Method::dopri5;
  throw std::invalid_argument("method is unknown");
}

bool is_wide_engine(const std::string& name, const Problem& problem) {
  if (name == "ensemble" || (name == "auto" && problem.by_samples())) return false;
  if (name == "auto") return is_wide(problem.net);
  require(name == "wide", "engine", "is unknown");
  require(!problem.by_samples(), "engine", "is wide for a mean over samples");
  return true;
}

// Allocates the array of a record, filled with NaN, and returns where the core finds it.
double* allocate(const std::string& name, const Problem& problem, const Plan& plan,
                 Records& records, py::dict& arrays) {
  const py::ssize_t depth = problem.net.depth();
  py::ssize_t per_layer = 0;
  double** place = nullptr;
  if (name == "risk") place = &records.risk;
  const bool has_test =
      problem.by_samples() ? problem.samples.test.count() > 0 : problem.risk.test.given;
  const bool is_linear =
      !problem.by_samples() || problem.samples.activation == Activation::identity;
  if (name == "test_risk" && has_test) place = &records.test_risk;
  if (name == "distance" && is_linear) place = &records.distance;
  if (name == "sharpness") place = &records.sharpness;
  if (name == "lowest_eigenvalue") place = &records.lowest_eigenvalue;
  if (name == "balancedness") place = &records.balancedness;
  if (name == "layer_norm") place = &records.layer_norm, per_layer = depth;
  if (name == "rank_one_gap") place = &records.rank_one_gap, per_layer = depth;
  if (name == "alignment") place = &records.alignment, per_layer = depth - 1;
  require(place, "record", "has an unknown name");
  require(!*place, "record", "has a name twice");
  const bool layered =
      place == &records.layer_norm || place == &records.rank_one_gap || place == &records.alignment;
  std::vector<py::ssize_t> shape{plan.runs, plan.records};
  if (layered) shape.push_back(per_layer);
  auto array = empty<double>(shape);
  std::fill_n(array.mutable_data(), array.size(), std::numeric_limits<double>::quiet_NaN());
  arrays[py::str(name)] = array;
  return *place = array.mutable_data();
}

void check(const Plan& plan) {
  const bool adaptive = plan.method == Method::dopri5;
  require(plan.runs >= 1, "weights", "has no runs");
  require_non_negative(plan.every, "every");
  require(adaptive || (plan.every < 0x1p62 && plan.every == std::floor(plan.every)), "every",
          "is not whole");
  require_non_negative(plan.tolerance, "tolerance");
  if (adaptive) require_positive(plan.time, "time");
  std::int64_t longest = 0;
  for (std::int64_t run = 0; run < plan.runs; ++run) {
    require_positive(plan.step[run], "step");
    require_positive(plan.last_step[run], "last_step");
    require(plan.max_steps[run] >= 1, "max_steps", "is not positive");
    require(plan.steps[run] >= (adaptive ? 0 : 1), "steps", "is too small");
    longest = std::max(longest, plan.steps[run]);
    if (!adaptive) continue;
    require_positive(plan.rtol[run], "rtol");
    require_positive(plan.atol[run], "atol");
  }
  // Every slot that a run can reach lies below the number of records; adaptive runs count theirs,
  // and may take a time that is above a multiple by rounding alone for the multiple.
  const double length = adaptive ? plan.time : double(longest);
  const double slots = plan.every > 0 ? std::ceil(length / plan.every) + 1 : 2;
  require(double(plan.records) >= (adaptive ? 2 : slots), "records", "is too small");
  require(double(plan.records) <= (plan.every > 0 ? slots + 1 : 2), "records", "is too large");
  require_threads(plan.threads);
}

template <class Scalar>
py::dict bind_simulate(const Problem& problem, Array<Scalar> weights, const std::string& method,
                       const Array<double>& step, const Array<std::int64_t>& steps,
                       const Array<double>& last_step, double time, const Array<double>& rtol,
                       const Array<double>& atol, const Array<std::int64_t>& max_steps,
                       double every, std::int64_t records, const std::vector<std::string>& record,
                       double tolerance, int threads, const std::string& engine,
                       const py::object& progress) {
  const py::ssize_t runs = weights.ndim() == 2 ? weights.shape(0) : 0;
  require_shape(weights, "weights", {runs, problem.net.parameters});
  Plan plan;
  plan.method = method_of(method);
  plan.runs = runs;
  plan.step = to_vector(step, "step", runs);
  plan.steps = to_vector(steps, "steps", runs);
  plan.last_step = to_vector(last_step, "last_step", runs);
  plan.time = time;
  plan.rtol = to_vector(rtol, "rtol", runs);
  plan.atol = to_vector(atol, "atol", runs);
  plan.max_steps = to_vector(max_steps, "max_steps", runs);
  plan.every = every;
  plan.records = records;
  plan.tolerance = tolerance;
  plan.threads = threads;
  plan.wide = is_wide_engine(engine, problem);
  check(plan);

  py::dict arrays;
  Records places;
  for (const auto& name : record) allocate(name, problem, plan, places, arrays);
  Scalar* W = writable(weights, "weights");
  require(progress.is_none() || PyCallable_Check(progress.ptr()), "progress", "is not a function");
  SignalMonitor monitor(progress);
  Outcome outcome;
  {
    py::gil_scoped_release release;
    outcome = simulate<Scalar>(problem, plan, W, places, std::ref(monitor));
  }
  monitor.rethrow(false);

  Array<std::int32_t> status(runs);
  std::transform(outcome.status.begin(), outcome.status.end(), status.mutable_data(),
                 [](Status value) { return std::int32_t(value); });
  Array<std::int64_t> last(runs);
  std::copy(outcome.last_step.begin(), outcome.last_step.end(), last.mutable_data());
  Array<std::int32_t> out_of_range(runs);
  std::copy(outcome.out_of_range.begin(), outcome.out_of_range.end(), out_of_range.mutable_data());
  py::dict result;
  result["status"] = status;
  result["last_step"] = last;
  result["out_of_range_layer"] = out_of_range;
  result["records"] = arrays;
  result["sharpness_residual"] = outcome.sharpness_residual;
  result["unconverged"] = outcome.unconverged;
  result["interrupted"] = outcome.interrupted;
  result["wide"] = plan.wide;
  return result;
}

template <class Scalar>
void define(py::module_& module) {
  module.def("simulate", &bind_simulate<Scalar>, py::arg("problem"), py::arg("weights").noconvert(),
             py::arg("method"), py::arg("step").noconvert(), py::arg("steps").noconvert(),
             py::arg("last_step").noconvert(), py::arg("time"), py::arg("rtol").noconvert(),
             py::arg("atol").noconvert(), py::arg("max_steps").noconvert(), py::arg("every"),
             py::arg("records"), py::arg("record"), py::arg("tolerance"), py::arg("threads"),
             py::arg("engine"), py::arg("progress"));
}

}  // namespace

void register_simulation(py::module_& module) {
  define<double>(module);
  define<float>(module);
}

}  // namespace deeplinear::bindings
