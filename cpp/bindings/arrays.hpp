// Arguments as the core may take them. The Python layer converts; here what does not fit is an
// error of the package itself, whoever calls.
#pragma once

#include <cmath>
#include <cstdint>
#include <initializer_list>
#include <new>
#include <stdexcept>
#include <string>
#include <vector>

#include <pybind11/numpy.h>

namespace deeplinear::bindings {

namespace py = pybind11;

template <class T>
using Array = py::array_t<T, py::array::c_style>;

// "name what" where it does not hold
inline void require(bool holds, const char* name, const char* what) {
  if (!holds) throw std::invalid_argument(std::string(name) + " " + what);
}

inline void require_positive(double number, const char* name) {
  require(number > 0 && std::isfinite(number), name, "is not positive and finite");
}

inline void require_non_negative(double number, const char* name) {
  require(number >= 0 && std::isfinite(number), name, "is not zero or above and finite");
}

inline void require_threads(int threads) {
  require(threads >= 1, "threads", "is not positive");
  require(threads <= 1024, "threads", "is above 1024");
}

// An array of the right type may begin at any byte.
template <class T>
void require_aligned(const Array<T>& array, const char* name) {
  require(reinterpret_cast<std::uintptr_t>(array.data()) % alignof(T) == 0, name, "is not aligned");
}

template <class T>
void require_shape(const Array<T>& array, const char* name,
                   std::initializer_list<py::ssize_t> shape) {
  bool same = array.ndim() == py::ssize_t(shape.size());
  py::ssize_t axis = 0;
  for (const py::ssize_t size : shape) same = same && array.shape(axis++) == size;
  require(same, name, "has a wrong shape");
  require_aligned(array, name);
}

template <class T>
T* writable(Array<T>& array, const char* name) {
  require(array.writeable(), name, "is read-only");
  return array.mutable_data();
}

template <class T>
std::vector<T> to_vector(const Array<T>& array, const char* name, py::ssize_t size) {
  require_shape(array, name, {size});
  return std::vector<T>(array.data(), array.data() + size);
}

// (d, d), row by row
inline std::vector<double> to_matrix(const Array<double>& array, const char* name,
                                     py::ssize_t size) {
  require_shape(array, name, {size, size});
  return {array.data(), array.data() + size * size};
}

// A new array; pybind11 would multiply sizes that no memory has before NumPy refuses them.
template <class T>
Array<T> empty(const std::vector<py::ssize_t>& shape) {
  double bytes = sizeof(T);
  for (const py::ssize_t size : shape) bytes *= double(size);
  if (!(bytes < 0x1p62)) throw std::bad_alloc();
  return Array<T>(shape);
}

}  // namespace deeplinear::bindings
