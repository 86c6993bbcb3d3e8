#include <cstddef>
#include <cstdint>
#include <string>

#include "arrays.hpp"
#include "bindings.hpp"
#include "limits/peaks.hpp"

namespace deeplinear::bindings {

namespace {

double bind_multiply_add_rate(const std::string& dtype, int threads, double seconds) {
  require(dtype == "float64" || dtype == "float32", "dtype", "is unknown");
  require_threads(threads);
  require(seconds > 0 && seconds <= 3600, "seconds", "is not between 0 and 3600");
  const py::gil_scoped_release release;
  return dtype == "float64" ? multiply_add_rate<double>(threads, seconds)
                            : multiply_add_rate<float>(threads, seconds);
}

py::tuple bind_memory_bandwidth(int threads, std::int64_t bytes, int repetitions) {
  require_threads(threads);
  require(bytes >= 1, "bytes", "is not positive");
  require(repetitions >= 1, "repetitions", "is not positive");
  Bandwidth found;
  {
    const py::gil_scoped_release release;
    found = memory_bandwidth(threads, std::size_t(bytes), repetitions);
  }
  return py::make_tuple(found.read, found.read_read_write);
}

}  // namespace

void register_limits(py::module_& module) {
  module.def("multiply_add_rate", &bind_multiply_add_rate, py::arg("dtype"), py::arg("threads"),
             py::arg("seconds"));
  module.def("memory_bandwidth", &bind_memory_bandwidth, py::arg("threads"), py::arg("bytes"),
             py::arg("repetitions"));
}

}  // namespace deeplinear::bindings
