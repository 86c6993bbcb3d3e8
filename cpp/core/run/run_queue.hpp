// Coordination: what the threads of a simulation share: the queue of runs, the progress and the
// wish to stop.
#pragma once

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>

#include "run/simulate.hpp"

namespace deeplinear {

class Coordination {
 public:
  Coordination(std::int64_t runs, const Monitor& monitor) : runs_(runs), monitor_(monitor) {}

  // The next run to start, or -1
  std::int64_t next_run() {
    const std::int64_t run = next_.fetch_add(1, std::memory_order_relaxed);
    return run < runs_ ? run : -1;
  }

  // Adds to the work done, in runs.
  void advance(double share) {
    double done = done_.load(std::memory_order_relaxed);
    while (!done_.compare_exchange_weak(done, done + share, std::memory_order_relaxed)) {
    }
  }

  bool stopped() const { return stop_.load(std::memory_order_relaxed); }
  void stop() { stop_.store(true, std::memory_order_relaxed); }

  // True when the simulation is to stop. Only the calling thread of the simulation asks the
  // monitor.
  bool poll(bool calling_thread) {
    using namespace std::chrono_literals;
    if (calling_thread && monitor_) {
      const auto now = std::chrono::steady_clock::now();
      if (now - asked_ >= 100ms) {
        asked_ = now;
        if (monitor_(std::min(1.0, done_.load(std::memory_order_relaxed) / double(runs_)))) stop();
      }
    }
    return stopped();
  }

 private:
  const std::int64_t runs_;
  const Monitor& monitor_;
  std::atomic<std::int64_t> next_{0};
  std::atomic<double> done_{0};
  std::atomic<bool> stop_{false};
  std::chrono::steady_clock::time_point asked_{};
};

}  // namespace deeplinear
