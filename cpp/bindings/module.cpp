#include <pybind11/pybind11.h>

#include "bindings.hpp"

// DEEPLINEAR_MODULE is the name of the module of one SIMD level; deeplinear/_core.py imports it,
// and refuses subinterpreters before, where pybind11 would wait for the main one.
PYBIND11_MODULE(DEEPLINEAR_MODULE, module, pybind11::mod_gil_not_used(),
                pybind11::multiple_interpreters::not_supported()) {
  using namespace deeplinear::bindings;

  register_config(module);
  register_limits(module);
  register_normals(module);
  register_least_squares(module);
  register_problem(module);
  register_landscape(module);
  register_tables(module);
  register_plan(module);
  register_simulation(module);
}
