// Signals and progress during a call that has released the GIL.
#pragma once

#include <optional>

#include <pybind11/pybind11.h>

#include "threads/stop.hpp"

namespace deeplinear::bindings {

namespace py = pybind11;

// Asks Python for signals, then calls the progress function (None or one that takes the share
// done); keeps what they raise.
class SignalMonitor {
 public:
  explicit SignalMonitor(py::object progress = py::none()) : progress_(std::move(progress)) {}

  // With or without the GIL; true where something was raised.
  bool operator()(double share) {
    py::gil_scoped_acquire gil;
    if (raised_) return true;
    try {
      if (PyErr_CheckSignals() != 0) throw py::error_already_set();
      if (!progress_.is_none()) progress_(share);
    } catch (py::error_already_set& error) {
      raised_.emplace(error);
    }
    return raised_.has_value();
  }

  // With the GIL. Raises what was raised; a KeyboardInterrupt only if it is asked for.
  void rethrow(bool keyboard_interrupt) {
    if (raised_ && (keyboard_interrupt || !raised_->matches(PyExc_KeyboardInterrupt))) {
      throw py::error_already_set(*raised_);
    }
  }

 private:
  py::object progress_;
  std::optional<py::error_already_set> raised_;
};

// Of a call that has no progress to report
class Interruption {
 public:
  Stop& stop() { return stop_; }
  void rethrow() { monitor_.rethrow(true); }

 private:
  SignalMonitor monitor_;
  Stop stop_{[this](double share) { return monitor_(share); }};
};

}  // namespace deeplinear::bindings
