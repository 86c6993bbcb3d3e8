// Ctrl-C during a computation of the core that has no progress to report.
#pragma once

#include <chrono>
#include <functional>

#include "monitor.hpp"

namespace deeplinear::bindings {

// Looks for signals, at most ten times a second.
class Interruption {
 public:
  std::function<bool()> check() {
    return [this] {
      const auto now = std::chrono::steady_clock::now();
      if (raised_ || now - asked_ < std::chrono::milliseconds(100)) return raised_;
      asked_ = now;
      return raised_ = monitor_(0);
    };
  }
  void rethrow() { monitor_.rethrow(true); }

 private:
  SignalMonitor monitor_;
  bool raised_ = false;
  std::chrono::steady_clock::time_point asked_ = std::chrono::steady_clock::now();
};

}  // namespace deeplinear::bindings
