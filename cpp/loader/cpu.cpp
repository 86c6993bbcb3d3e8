// Python's own interface, no pybind11: this module runs before a level is chosen, and stays tiny.
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "levels.hpp"

namespace {

PyObject* levels(PyObject*, PyObject*) {
  const auto found = deeplinear::loader::supported_levels();
  PyObject* names = PyTuple_New(static_cast<Py_ssize_t>(found.count));
  if (names == nullptr) return nullptr;
  for (std::size_t i = 0; i < found.count; ++i) {
    PyObject* name = PyUnicode_FromString(found.names[i]);
    if (name == nullptr) {
      Py_DECREF(names);
      return nullptr;
    }
    PyTuple_SET_ITEM(names, static_cast<Py_ssize_t>(i), name);
  }
  return names;
}

PyObject* is_main_interpreter(PyObject*, PyObject*) {
  return PyBool_FromLong(PyInterpreterState_Get() == PyInterpreterState_Main());
}

PyMethodDef methods[] = {
    {"levels", levels, METH_NOARGS, "The SIMD levels that this processor can run, best first."},
    {"is_main_interpreter", is_main_interpreter, METH_NOARGS,
     "Whether the caller runs in the main interpreter of the process."},
    {nullptr, nullptr, 0, nullptr},
};

// It keeps nothing, so that any interpreter can ask it, with or without the GIL.
PyModuleDef_Slot slots[] = {
#ifdef Py_mod_multiple_interpreters
    {Py_mod_multiple_interpreters, Py_MOD_PER_INTERPRETER_GIL_SUPPORTED},
#endif
#ifdef Py_mod_gil
    {Py_mod_gil, Py_MOD_GIL_NOT_USED},
#endif
    {0, nullptr},
};

PyModuleDef definition = {
    PyModuleDef_HEAD_INIT, "_cpu", nullptr, 0, methods, slots, nullptr, nullptr, nullptr,
};

}  // namespace

PyMODINIT_FUNC PyInit__cpu() {
  return PyModuleDef_Init(&definition);
}
