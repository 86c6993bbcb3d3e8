#include <Eigen/Core>
#include <pybind11/pybind11.h>

#ifdef _OPENMP
#include <omp.h>
#endif

#include <algorithm>
#include <exception>
#include <new>
#include <string>

#include "bindings.hpp"
#include "threads/available_threads.hpp"

namespace deeplinear::bindings {

namespace {

std::string compiler() {
#if defined(__apple_build_version__)
  return "AppleClang " __clang_version__;
#elif defined(__clang__)
  return "Clang " __clang_version__;
#else
  return "GCC " __VERSION__;
#endif
}

std::string eigen_version() {
  return std::to_string(EIGEN_WORLD_VERSION) + "." + std::to_string(EIGEN_MAJOR_VERSION) + "." +
         std::to_string(EIGEN_MINOR_VERSION);
}

bool has_fma() {
#if defined(__FMA__) || defined(__ARM_FEATURE_FMA)
  return true;
#else
  return false;
#endif
}

bool has_assertions() {
#ifdef NDEBUG
  return false;
#else
  return true;
#endif
}

// Widest vector registers, in bits.
int vector_bits() {
#if defined(__AVX512F__)
  return 512;
#elif defined(__AVX__)
  return 256;
#else
  return 128;
#endif
}

py::dict build_config() {
  py::dict config;
  config["version"] = DEEPLINEAR_VERSION;
  config["compiler"] = compiler();
  config["flags"] = DEEPLINEAR_FLAGS;
  config["simd"] = DEEPLINEAR_SIMD_LEVEL;
  config["vector_bits"] = vector_bits();
  config["fma"] = has_fma();
#ifdef _OPENMP
  config["openmp"] = _OPENMP;
#else
  config["openmp"] = false;
#endif
  config["threads"] = default_threads();
  config["eigen"] = eigen_version();
  config["pybind11"] = PYBIND11_TOSTRING(PYBIND11_VERSION_MAJOR) "." PYBIND11_TOSTRING(
      PYBIND11_VERSION_MINOR) "." PYBIND11_TOSTRING(PYBIND11_VERSION_MICRO);
  config["assertions"] = has_assertions();
  return config;
}

// Before the work starts; a warning that is an error ends the call there.
void warn_of_fewer_threads(const std::string& sentence) {
  const py::gil_scoped_acquire gil;
  if (PyErr_WarnEx(PyExc_RuntimeWarning, sentence.c_str(), 1) != 0) throw py::error_already_set();
}

void translate(std::exception_ptr failure) {
  try {
    if (failure) std::rethrow_exception(failure);
  } catch (const std::bad_alloc&) {
    PyErr_SetString(PyExc_MemoryError,
                    "the memory that this machine has left, or that a limit allows (ulimit -v), is "
                    "not enough for this call.");
  }
}

}  // namespace

int default_threads() {
#ifdef _OPENMP
  // The first is OMP_NUM_THREADS, the second the processors that this process may run on now.
  return std::max(1, std::min(omp_get_max_threads(), omp_get_num_procs()));
#else
  return 1;
#endif
}

void register_config(py::module_& module) {
  on_fewer_threads(&warn_of_fewer_threads);
  py::register_local_exception_translator(&translate);
  module.def("build_config", &build_config,
             "How this module was built, and the number of threads that it uses by default.");
}

}  // namespace deeplinear::bindings
