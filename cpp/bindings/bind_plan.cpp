#include <algorithm>
#include <cmath>
#include <map>
#include <string>

#include <pybind11/stl.h>

#include "arrays.hpp"
#include "bindings.hpp"
#include "objects.hpp"
#include "rules/choice.hpp"
#include "run/plan.hpp"
#include "tables.hpp"

namespace deeplinear::bindings {

namespace {

const Method* method_of(const std::string& name, bool adaptive) {
  const Method& method = entry_of(methods, name, "method");
  require(method.adaptive == adaptive, "method", "takes steps of the other kind");
  return &method;
}

// Numbers that are positive and finite, one per run
std::vector<double> positive_numbers(const Array<double>& array, const char* name,
                                     py::ssize_t runs) {
  std::vector<double> numbers = to_vector(array, name, runs);
  for (const double number : numbers) require_positive(number, name);
  return numbers;
}

std::vector<std::int64_t> counts(const Array<std::int64_t>& array, const char* name,
                                 py::ssize_t runs) {
  std::vector<std::int64_t> numbers = to_vector(array, name, runs);
  for (const std::int64_t number : numbers) require(number >= 1, name, "is not positive");
  return numbers;
}

template <class T>
py::ssize_t length(const Array<T>& array, const char* name) {
  const py::ssize_t runs = array.ndim() == 1 ? array.shape(0) : 0;
  require(runs >= 1, name, "has no runs");
  return runs;
}

// The numbers of the rules, by name, one per run
RuleSettings::Columns to_rules(const std::map<std::string, Array<double>>& rules,
                               py::ssize_t runs) {
  RuleSettings::Columns columns;
  for (const auto& [name, array] : rules) {
    auto& column = columns[name] = to_vector(array, name.c_str(), runs);
    for (const double number : column) require_non_negative(number, name.c_str());
  }
  for (std::int64_t run = 0; run < runs; ++run) {
    require(rule_of({columns, run}) >= 0, "rules", "have numbers that no rule reads");
  }
  return columns;
}

Fixed make_fixed(const std::string& method, const Array<double>& step,
                 const Array<double>& last_step, const Array<std::int64_t>& steps, double every,
                 const std::map<std::string, Array<double>>& rules,
                 const std::optional<Array<std::int64_t>>& done,
                 const std::optional<std::vector<Array<double>>>& states, bool keep_states) {
  const py::ssize_t runs = length(step, "step");
  require_non_negative(every, "every");
  require(every < 0x1p62 && every == std::floor(every), "every", "is not whole");
  Fixed fixed{.method = method_of(method, false),
              .step = positive_numbers(step, "step", runs),
              .last_step = positive_numbers(last_step, "last_step", runs),
              .steps = counts(steps, "steps", runs),
              .every = std::int64_t(every),
              .rules = to_rules(rules, runs),
              .done = {},
              .states = {},
              .keep_states = keep_states};
  for (std::int64_t run = 0; run < runs; ++run) {
    require(fixed.method->tableau->stages == 1 || rule_of(fixed.rule(run)) == 0, "method",
            "takes no rule");
  }
  if (done) fixed.done = to_vector(*done, "done", runs);
  for (std::size_t i = 0; i < fixed.done.size(); ++i) {
    require(fixed.done[i] >= 0 && fixed.done[i] < fixed.steps[i], "done",
            "is not from 0 to below steps");
  }
  if (!states) return fixed;
  require(py::ssize_t(states->size()) == runs && done, "states", "are not one for each run");
  for (const Array<double>& state : *states) {
    fixed.states.push_back(to_vector(state, "states", state.size()));
  }
  return fixed;
}

Adaptive make_adaptive(const std::string& method, double time, double every,
                       const Array<double>& first_step, const Array<double>& rtol,
                       const Array<double>& atol, const Array<std::int64_t>& max_steps) {
  const py::ssize_t runs = length(first_step, "first_step");
  require_positive(time, "time");
  require_non_negative(every, "every");
  return {.method = method_of(method, true),
          .time = time,
          .every = every,
          .first_step = positive_numbers(first_step, "first_step", runs),
          .rtol = positive_numbers(rtol, "rtol", runs),
          .atol = positive_numbers(atol, "atol", runs),
          .max_steps = counts(max_steps, "max_steps", runs)};
}

// The functions of a device, as the module that knows it hands them over
const DeviceTable* table_of(const std::optional<py::capsule>& device) {
  if (!device) return nullptr;
  const char* const name = device->name();
  require(name && std::string_view(name) == "deeplinear.DeviceTable", "device", "is no device");
  const auto* const table = device->get_pointer<const DeviceTable>();
  require(table->version == DeviceTable::current_version, "device", "is of another version");
  return table;
}

template <class Steps>
Plan make_plan(const Steps& steps, double tolerance, int threads,
               const std::optional<py::capsule>& device) {
  require_non_negative(tolerance, "tolerance");
  require_threads(threads);
  Plan plan{.steps = steps, .tolerance = tolerance, .threads = threads, .device = table_of(device)};
  if constexpr (std::is_same_v<Steps, Fixed>) {
    plan.runs = std::int64_t(steps.step.size());
  } else {
    plan.runs = std::int64_t(steps.first_step.size());
  }
  return plan;
}

}  // namespace

void register_plan(py::module_& module) {
  using Local = py::module_local;
  py::class_<Fixed> fixed(module, "Fixed", Local());
  fixed.def(py::init(&make_fixed), py::arg("method"), py::arg("step").noconvert(),
            py::arg("last_step").noconvert(), py::arg("steps").noconvert(), py::arg("every"),
            py::arg("rules").noconvert(), py::arg("done").noconvert(), py::arg("states"),
            py::arg("keep_states"));
  py::class_<Adaptive> adaptive(module, "Adaptive", Local());
  adaptive.def(py::init(&make_adaptive), py::arg("method"), py::arg("time"), py::arg("every"),
               py::arg("first_step").noconvert(), py::arg("rtol").noconvert(),
               py::arg("atol").noconvert(), py::arg("max_steps").noconvert());
  py::class_<Plan> plan(module, "Plan", Local());
  plan.def(py::init(&make_plan<Fixed>), py::arg("steps"), py::arg("tolerance"), py::arg("threads"),
           py::arg("device") = py::none())
      .def(py::init(&make_plan<Adaptive>), py::arg("steps"), py::arg("tolerance"),
           py::arg("threads"), py::arg("device") = py::none());
  refuse_pickle(fixed, "dynamics");
  refuse_pickle(adaptive, "dynamics");
  refuse_pickle(plan, "dynamics");
}

}  // namespace deeplinear::bindings
