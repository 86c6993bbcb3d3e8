#include <pybind11/pybind11.h>

#include "bindings.hpp"

// DEEPLINEAR_MODULE is the name of the module of one SIMD level; deeplinear/_core.py imports it.
PYBIND11_MODULE(DEEPLINEAR_MODULE, module) {
  using namespace deeplinear::bindings;

  register_config(module);
  register_machine(module);
  register_least_squares(module);
  register_problem(module);
  register_landscape(module);
  register_simulation(module);
}
