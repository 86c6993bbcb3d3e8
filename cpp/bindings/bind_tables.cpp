#include <set>
#include <string>

#include <pybind11/stl.h>

#include "bindings.hpp"
#include "objects.hpp"
#include "observe/observable.hpp"
#include "rules/table.hpp"
#include "run/engine.hpp"
#include "tables.hpp"

namespace deeplinear::bindings {

namespace {

// name -> meaning
template <class Table>
py::dict meanings(const Table& table) {
  py::dict all;
  for (const auto& entry : table) all[entry.name] = entry.meaning;
  return all;
}

template <class List>
py::list list_of() {
  py::list all;
  for (const char* name : names_of<List>()) all.append(name);
  return all;
}

// name -> (meaning, names of the axes beside run and record, whether it has an accuracy)
py::dict bind_observables() {
  py::dict all;
  for (const Observable* one : observables()) {
    py::list axes;
    for (const Axis axis : one->axes) {
      if (axis != Axis::none) axes.append(name_of(axis));
    }
    all[one->name] = py::make_tuple(one->meaning, py::tuple(axes), one->iterative);
  }
  return all;
}

std::optional<std::string> to_optional(const char* reason) {
  if (!reason) return std::nullopt;
  return reason;
}

}  // namespace

void register_tables(py::module_& module) {
  module.def("statuses", [] { return meanings(statuses); });
  module.def("methods", [] { return meanings(methods); });
  module.def("engines", [] { return meanings(engines()); });
  module.def("rule_numbers", [] {
    std::set<std::string> names;
    for_each_rule([&](auto rule) {
      for (const auto name : decltype(rule)::One::settings) names.insert(name);
    });
    return names;
  });
  module.def(
      "preferred_engine", [](const Problem& problem) { return preferred_engine(problem).name; },
      py::arg("problem"), "The engine that \"auto\" stands for.");
  module.def("device_table_version", [] { return DeviceTable::current_version; });
  module.def("activations", &list_of<Activations>);
  module.def("losses", &list_of<Losses>);
  module.def("observables", &bind_observables);
  module.def(
      "record_lacks",
      [](const Problem& problem, const std::string& name) {
        return to_optional(observable_of(name).lacks(problem));
      },
      py::arg("problem"), py::arg("name"),
      "What a problem lacks for a record, in words that go on from \"where\"; None for nothing.");
  module.def(
      "engine_lacks",
      [](const Problem& problem, const std::string& name) {
        return to_optional(entry_of(engines(), name, "engine").lacks(problem));
      },
      py::arg("problem"), py::arg("name"), "As of `record_lacks`, for an engine.");
}

}  // namespace deeplinear::bindings
