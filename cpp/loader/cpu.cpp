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

PyMethodDef methods[] = {
    {"levels", levels, METH_NOARGS, "The SIMD levels that this processor can run, best first."},
    {nullptr, nullptr, 0, nullptr},
};

PyModuleDef definition = {
    PyModuleDef_HEAD_INIT, "_cpu", nullptr, 0, methods, nullptr, nullptr, nullptr, nullptr,
};

}  // namespace

PyMODINIT_FUNC PyInit__cpu() {
  return PyModule_Create(&definition);
}
