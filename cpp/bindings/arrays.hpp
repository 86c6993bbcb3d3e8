// Checked views of NumPy arrays. The Python layer converts; here a wrong shape is an error of the
// package itself.
#pragma once

#include <initializer_list>
#include <stdexcept>
#include <string>
#include <vector>

#include <pybind11/numpy.h>

namespace deeplinear::bindings {

namespace py = pybind11;

template <class T>
using Array = py::array_t<T, py::array::c_style>;

template <class T>
void require_shape(const Array<T>& array, const char* name,
                   std::initializer_list<py::ssize_t> shape) {
  bool same = array.ndim() == py::ssize_t(shape.size());
  py::ssize_t axis = 0;
  for (const py::ssize_t size : shape) same = same && array.shape(axis++) == size;
  if (!same) throw std::invalid_argument(std::string(name) + " has a wrong shape");
}

template <class T>
std::vector<T> to_vector(const Array<T>& array, const char* name, py::ssize_t size) {
  require_shape(array, name, {size});
  return {array.data(), array.data() + size};
}

// (d, d), row by row
inline std::vector<double> to_matrix(const Array<double>& array, const char* name,
                                     py::ssize_t size) {
  require_shape(array, name, {size, size});
  return {array.data(), array.data() + size * size};
}

}  // namespace deeplinear::bindings
