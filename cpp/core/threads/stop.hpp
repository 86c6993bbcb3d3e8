// Stop: the wish to end a computation, and how far the computation is.
#pragma once

#include <algorithm>
#include <atomic>
#include <chrono>
#include <functional>
#include <thread>

namespace deeplinear {

// The thread that makes a Stop asks; every thread sees the answer.
class Stop {
 public:
  // Takes the share of the work that is done; true ends the computation.
  using Ask = std::function<bool(double)>;

  // The work is counted in units of the caller's. Asking takes a microsecond or more, which a short
  // call is spared where it isn't asked for at once.
  explicit Stop(Ask ask, double work = 1, bool at_once = false)
      : ask_(std::move(ask)), work_(work), asked_(at_once ? Time{} : Clock::now()) {}

  // What nobody wants to stop
  static Stop& never() {
    static Stop none{nullptr};
    return none;
  }

  // Whether the computation is to end. The thread that asks does so ten times a second at most.
  bool poll() {
    if (ask_ && std::this_thread::get_id() == asks_) {
      const Time now = Clock::now();
      if (now - asked_ >= std::chrono::milliseconds(100)) {
        asked_ = now;
        if (ask_(std::min(1.0, done_.load(std::memory_order_relaxed) / work_))) request();
      }
    }
    return requested();
  }

  bool requested() const { return requested_.load(std::memory_order_relaxed); }
  void request() { requested_.store(true, std::memory_order_relaxed); }

  // Adds to the work that is done.
  void advance(double work) {
    double done = done_.load(std::memory_order_relaxed);
    while (!done_.compare_exchange_weak(done, done + work, std::memory_order_relaxed)) {
    }
  }

 private:
  using Clock = std::chrono::steady_clock;
  using Time = Clock::time_point;

  const Ask ask_;
  const double work_;
  Time asked_;
  const std::thread::id asks_ = std::this_thread::get_id();
  std::atomic<double> done_{0};
  std::atomic<bool> requested_{false};
};

}  // namespace deeplinear
