// The runs that wait for a lane, over all threads of a simulation.
#pragma once

#include <atomic>
#include <cstdint>

namespace deeplinear {

class RunQueue {
 public:
  explicit RunQueue(std::int64_t runs) : runs_(runs) {}

  // The next run to start, or -1
  std::int64_t next() {
    const std::int64_t run = next_.fetch_add(1, std::memory_order_relaxed);
    return run < runs_ ? run : -1;
  }

 private:
  const std::int64_t runs_;
  std::atomic<std::int64_t> next_{0};
};

}  // namespace deeplinear
