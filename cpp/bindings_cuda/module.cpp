#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include "cuda/device.hpp"

namespace py = pybind11;

namespace {

using namespace deeplinear;

py::list devices() {
  py::list all;
  for (const cuda::Processor& one : cuda::processors()) {
    py::dict entry;
    entry["name"] = one.name;
    entry["compute_capability"] = py::make_tuple(one.major, one.minor);
    entry["multiprocessors"] = one.multiprocessors;
    entry["memory"] = one.memory;
    entry["shared_memory"] = one.shared_memory;
    all.append(entry);
  }
  return all;
}

py::capsule table(int device) {
  if (device < 0 || device >= int(cuda::processors().size())) {
    throw py::value_error("device has no such number");
  }
  return py::capsule(static_cast<const void*>(&cuda::table_of(device)), "deeplinear.DeviceTable");
}

}  // namespace

PYBIND11_MODULE(_core_cuda, module) {
  module.attr("VERSION") = DEEPLINEAR_VERSION;
  module.attr("TABLE_VERSION") = DeviceTable::current_version;
  module.attr("TOOLKIT") = DEEPLINEAR_CUDA_TOOLKIT;
  module.attr("ARCHITECTURES") = DEEPLINEAR_CUDA_ARCHITECTURES;
  module.def("failure", &cuda::failure, "Why no device can be used; \"\" for no reason.");
  module.def("devices", &devices, "The devices that can be used, as dicts.");
  module.def("table", &table, py::arg("device"), "The functions of a device.");
}
