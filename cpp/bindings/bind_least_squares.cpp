#include <limits>

#include "arrays.hpp"
#include "bindings.hpp"
#include "eigen/least_squares.hpp"
#include "monitor.hpp"

namespace deeplinear::bindings {

namespace {

// (s (k,), v (k, d), c (k,), w* (d,), rank, |y - X w*|^2)
py::tuple bind_least_squares_modes(const Array<double>& columns, const Array<double>& y,
                                   const Array<double>& start, bool tall, double rounding) {
  const py::ssize_t k = columns.ndim() == 2 ? columns.shape(0) : 0;
  const py::ssize_t m = columns.ndim() == 2 ? columns.shape(1) : 0;
  require(k >= 1 && m >= k && m <= std::numeric_limits<int>::max(), "columns", "has a wrong shape");
  require_shape(columns, "columns", {k, m});
  require_non_negative(rounding, "rounding");
  require_shape(y, "y", {tall ? m : k});
  require_shape(start, "start", {k, k});
  Interruption interruption;
  LeastSquaresModes modes;
  {
    const py::gil_scoped_release release;
    modes = least_squares_modes(int(k), int(m), tall, columns.data(), y.data(), start.data(),
                                rounding, interruption.stop());
  }
  interruption.rethrow();
  const auto vector = [](const std::vector<double>& x) {
    return Array<double>(py::ssize_t(x.size()), x.data());
  };
  const Array<double> right({k, tall ? k : m}, modes.right.data());
  return py::make_tuple(vector(modes.values), right, vector(modes.targets), vector(modes.minimizer),
                        modes.rank, modes.rest);
}

}  // namespace

void register_least_squares(py::module_& module) {
  module.def("least_squares_modes", &bind_least_squares_modes, py::arg("columns").noconvert(),
             py::arg("y").noconvert(), py::arg("start").noconvert(), py::arg("tall"),
             py::arg("rounding"));
}

}  // namespace deeplinear::bindings
