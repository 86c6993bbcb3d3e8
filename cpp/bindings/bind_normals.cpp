#include <cstdint>

#include "arrays.hpp"
#include "bindings.hpp"
#include "monitor.hpp"
#include "normals/standard_normals.hpp"

namespace deeplinear::bindings {

namespace {

void bind_standard_normals(const Array<std::uint64_t>& seeds, Array<double> out, int threads) {
  require_threads(threads);
  require(seeds.ndim() == 1, "seeds", "has a wrong shape");
  require_aligned(seeds, "seeds");
  const py::ssize_t count = out.ndim() == 2 ? out.shape(1) : 0;
  require_shape(out, "out", {seeds.shape(0), count});
  double* const numbers = writable(out, "out");
  if (out.size() == 0) return;
  Interruption interruption;
  {
    const py::gil_scoped_release release;
    standard_normals(seeds.data(), seeds.shape(0), count, numbers, threads, interruption.stop());
  }
  interruption.rethrow();
}

}  // namespace

void register_normals(py::module_& module) {
  module.def("standard_normals", &bind_standard_normals, py::arg("seeds").noconvert(),
             py::arg("out").noconvert(), py::arg("threads"));
}

}  // namespace deeplinear::bindings
