#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <string>

#include "bindings.hpp"
#include "machine.hpp"

namespace deeplinear::bindings {

namespace {

double bind_multiply_add_rate(const std::string& dtype, int threads, double seconds) {
  if (dtype != "float64" && dtype != "float32") throw std::invalid_argument("dtype is unknown");
  if (threads < 1) throw std::invalid_argument("threads is not positive");
  if (!(seconds > 0)) throw std::invalid_argument("seconds is not positive");
  const py::gil_scoped_release release;
  return dtype == "float64" ? multiply_add_rate<double>(threads, seconds)
                            : multiply_add_rate<float>(threads, seconds);
}

py::tuple bind_memory_bandwidth(int threads, std::int64_t bytes, int repetitions) {
  if (threads < 1) throw std::invalid_argument("threads is not positive");
  if (bytes < 1) throw std::invalid_argument("bytes is not positive");
  if (repetitions < 1) throw std::invalid_argument("repetitions is not positive");
  Bandwidth found;
  {
    const py::gil_scoped_release release;
    found = memory_bandwidth(threads, std::size_t(bytes), repetitions);
  }
  return py::make_tuple(found.read, found.read_read_write);
}

}  // namespace

void register_machine(py::module_& module) {
  module.def("multiply_add_rate", &bind_multiply_add_rate, py::arg("dtype"), py::arg("threads"),
             py::arg("seconds"));
  module.def("memory_bandwidth", &bind_memory_bandwidth, py::arg("threads"), py::arg("bytes"),
             py::arg("repetitions"));
}

}  // namespace deeplinear::bindings
