#pragma once

#include <vector>

#include <pybind11/pybind11.h>

namespace deeplinear::bindings {

namespace py = pybind11;

// The number of threads that `threads=None` stands for.
int default_threads();

// Throws where no network has these widths.
void check_widths(const std::vector<int>& widths);

void register_config(py::module_& module);
void register_landscape(py::module_& module);
void register_least_squares(py::module_& module);
void register_limits(py::module_& module);
void register_normals(py::module_& module);
void register_problem(py::module_& module);
void register_plan(py::module_& module);
void register_simulation(py::module_& module);
void register_tables(py::module_& module);

}  // namespace deeplinear::bindings
