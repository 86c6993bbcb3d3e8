#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <mutex>
#include <optional>
#include <string>

#include <pybind11/stl.h>

#include "arrays.hpp"
#include "bindings.hpp"
#include "monitor.hpp"
#include "objects.hpp"
#include "run/engine.hpp"
#include "tables.hpp"

namespace deeplinear::bindings {

// What came of a simulation, as arrays
struct Result {
  Array<std::int32_t> status;
  Array<std::int64_t> last_step;
  Array<std::int32_t> out_of_range_layer;
  py::dict records;                     // name -> (runs, slots, ...)
  std::optional<Array<double>> states;  // what runs keep beside their weights, (runs, longest)
  py::dict accuracy;  // name -> (largest relative residual, eigenvalues that missed the tolerance)
  bool interrupted = false;
  std::string engine;
};

}  // namespace deeplinear::bindings

namespace pybind11::detail {

template <>
struct type_caster<deeplinear::bindings::Result>
    : initialized_caster<deeplinear::bindings::Result> {};

}  // namespace pybind11::detail

namespace deeplinear::bindings {

namespace {

const Engine& engine_of(const std::string& name, const Problem& problem) {
  if (name == "auto") return preferred_engine(problem);
  const Engine& engine = entry_of(engines(), name, "engine");
  require(!engine.lacks(problem), "engine", "can't run this problem");
  return engine;
}

// The array of a record, filled with NaN
Record allocate(const std::string& name, py::ssize_t count, const Problem& problem,
                py::ssize_t runs, std::int64_t slots, py::dict& arrays) {
  const Observable& observable = observable_of(name);
  require(!observable.lacks(problem), "record", "has a name that this problem lacks");
  require(!arrays.contains(py::str(name)), "record", "has a name twice");
  constexpr py::ssize_t largest = std::numeric_limits<int>::max();
  require(count >= 1 && count <= std::min<py::ssize_t>(problem.net.parameters, largest), "record",
          "has a count that is not from 1 to the number of weights");
  std::vector<py::ssize_t> shape{runs, slots};
  std::int64_t size = 1;
  for (const Axis axis : observable.axes) {
    if (axis == Axis::none) continue;
    shape.push_back(length_of(axis, problem.net, count));
    size *= shape.back();
  }
  auto array = empty<double>(shape);
  std::fill_n(array.mutable_data(), array.size(), std::numeric_limits<double>::quiet_NaN());
  arrays[py::str(name)] = array;
  return {&observable, size, array.mutable_data()};
}

// Every place that a run can reach lies below the number of records; adaptive runs count theirs,
// and may take a time that is above a multiple by rounding alone for the multiple.
void check_slots(const Plan& plan, std::int64_t slots) {
  const auto* fixed = std::get_if<Fixed>(&plan.steps);
  const auto* adaptive = std::get_if<Adaptive>(&plan.steps);
  const double every = fixed ? double(fixed->every) : adaptive->every;
  double needed = 2;
  if (every > 0 && adaptive) needed = std::ceil(adaptive->time / every) + 1;
  for (std::int64_t run = 0; every > 0 && fixed && run < plan.runs; ++run) {
    const auto steps = fixed->steps[run], step = fixed->every;
    const auto last = steps / step + (steps % step > 0);
    needed = std::max(needed, double(last - fixed->done_by(run) / step + 1));
  }
  require(double(slots) >= (adaptive ? 2 : needed), "slots", "is too small");
  require(double(slots) <= (every > 0 ? needed + 1 : 2), "slots", "is too large");
}

// What runs that go on have kept is as long as their engine says.
template <class Scalar>
void check_states(const Problem& problem, const Plan& plan, const Engine& engine) {
  const auto* fixed = std::get_if<Fixed>(&plan.steps);
  if (!fixed || fixed->states.empty()) return;
  const auto state_size =
      std::is_same_v<Scalar, double> ? engine.state_size_in_float64 : engine.state_size_in_float32;
  for (std::int64_t run = 0; run < plan.runs; ++run) {
    const auto size = std::ptrdiff_t(fixed->states[run].size());
    require(size == state_size(problem, *fixed, run, fixed->done_by(run)), "states",
            "have a wrong length");
  }
}

// Calls visit(run, slot, weights) with the GIL and a copy of the weights; what it raises ends the
// runs, and a KeyboardInterrupt stops them.
class Visitor {
 public:
  Visitor(const py::object& visit, Stop& stop) : visit_(visit), stop_(stop) {}

  void operator()(std::int64_t run, std::int64_t slot, std::span<const double> weights) {
    // One thread at a time: Python code gives up the GIL on its way, and may have none. Whoever
    // waits here holds none, so that the one before can take it again.
    const std::lock_guard lock(mutex_);
    if (stop_.requested()) return;
    const py::gil_scoped_acquire gil;
    try {
      visit_(run, slot, Array<double>(py::ssize_t(weights.size()), weights.data()));
    } catch (const py::error_already_set& error) {
      stop_.request();
      if (!error.matches(PyExc_KeyboardInterrupt)) throw;
    }
  }

 private:
  const py::object& visit_;
  Stop& stop_;
  std::mutex mutex_;
};

template <class T, class Number>
Array<T> to_array(const std::vector<Number>& numbers) {
  Array<T> array(py::ssize_t(numbers.size()));
  std::transform(numbers.begin(), numbers.end(), array.mutable_data(),
                 [](Number number) { return T(number); });
  return array;
}

// Rows of several lengths, NaN after each; nothing where all are empty
std::optional<Array<double>> to_rows(const std::vector<std::vector<double>>& states) {
  std::size_t longest = 0;
  for (const auto& state : states) longest = std::max(longest, state.size());
  if (longest == 0) return std::nullopt;
  auto rows = empty<double>({py::ssize_t(states.size()), py::ssize_t(longest)});
  double* row = rows.mutable_data();
  for (const auto& state : states) {
    double* const end = std::copy(state.begin(), state.end(), row);
    std::fill(end, row + longest, std::numeric_limits<double>::quiet_NaN());
    row += longest;
  }
  return rows;
}

template <class Scalar>
Result bind_simulate(const Problem& problem, Array<Scalar> weights, const Plan& plan,
                     const std::string& engine_name,
                     const std::vector<std::pair<std::string, std::int64_t>>& record,
                     std::int64_t slots, const py::object& visit, const py::object& progress) {
  require_shape(weights, "weights", {py::ssize_t(plan.runs), problem.net.parameters});
  const Engine& engine = engine_of(engine_name, problem);
  check_slots(plan, slots);
  check_states<Scalar>(problem, plan, engine);
  Result result;
  result.engine = engine.name;
  Records records;
  records.slots = slots;
  for (const auto& [name, count] : record) {
    records.list.push_back(allocate(name, count, problem, plan.runs, slots, result.records));
  }
  Scalar* W = writable(weights, "weights");
  const auto is_function = [](const py::object& object) {
    return object.is_none() || PyCallable_Check(object.ptr());
  };
  require(is_function(progress), "progress", "is not a function");
  require(is_function(visit), "visit", "is not a function");
  SignalMonitor monitor(progress);
  Stop stop(std::ref(monitor), double(plan.runs), true);
  Visitor visitor(visit, stop);
  if (!visit.is_none()) records.visit = std::ref(visitor);
  Outcome outcome;
  {
    const py::gil_scoped_release release;
    if (plan.device) {
      outcome = run_on_device(problem, plan, W, records, stop);
    } else if constexpr (std::is_same_v<Scalar, double>) {
      outcome = engine.in_float64(problem, plan, W, records, stop);
    } else {
      outcome = engine.in_float32(problem, plan, W, records, stop);
    }
  }
  monitor.rethrow(false);

  result.status = to_array<std::int32_t>(outcome.status);
  result.last_step = to_array<std::int64_t>(outcome.last_step);
  result.out_of_range_layer = to_array<std::int32_t>(outcome.out_of_range);
  result.interrupted = outcome.interrupted;
  result.states = to_rows(outcome.states);
  for (std::size_t i = 0; i < record.size(); ++i) {
    const Accuracy& accuracy = outcome.accuracies[i];
    result.accuracy[py::str(record[i].first)] =
        py::make_tuple(accuracy.residual, accuracy.unconverged);
  }
  return result;
}

template <class Scalar>
void define(py::module_& module) {
  module.def("simulate", &bind_simulate<Scalar>, py::arg("problem"), py::arg("weights").noconvert(),
             py::arg("plan"), py::arg("engine"), py::arg("record"), py::arg("slots"),
             py::arg("visit"), py::arg("progress"));
}

}  // namespace

void register_simulation(py::module_& module) {
  py::class_<Result> outcome(module, "Outcome", py::module_local());
  outcome.def_readonly("status", &Result::status)
      .def_readonly("last_step", &Result::last_step)
      .def_readonly("out_of_range_layer", &Result::out_of_range_layer)
      .def_readonly("records", &Result::records)
      .def_readonly("states", &Result::states)
      .def_readonly("accuracy", &Result::accuracy)
      .def_readonly("interrupted", &Result::interrupted)
      .def_readonly("engine", &Result::engine);
  refuse_pickle(outcome, "arrays");
  define<double>(module);
  define<float>(module);
}

}  // namespace deeplinear::bindings
