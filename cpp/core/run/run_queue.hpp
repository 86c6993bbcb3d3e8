// The runs that wait for a lane, over all threads of a simulation.
#pragma once

#include <atomic>
#include <cstdint>
#include <vector>

namespace deeplinear {

class RunQueue {
 public:
  explicit RunQueue(const std::vector<std::int64_t>& runs) : runs_(runs) {}

  // The next run to start, or -1
  std::int64_t next() {
    const std::size_t next = next_.fetch_add(1, std::memory_order_relaxed);
    return next < runs_.size() ? runs_[next] : -1;
  }

 private:
  const std::vector<std::int64_t>& runs_;
  std::atomic<std::size_t> next_{0};
};

}  // namespace deeplinear
