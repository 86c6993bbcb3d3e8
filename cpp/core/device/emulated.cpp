#include <vector>

#include "device/host_memory.hpp"
#include "device/with_kernel.hpp"
#include "simd/flush_to_zero.hpp"

namespace deeplinear {
namespace {

// Half of the tasks have no room, so that both kinds of memory are tried.
const char* occupancy(int, const KernelName& kernel, std::size_t, long long* blocks,
                      bool* has_room) {
  *blocks = 2;
  *has_room = !kernel.single;
  return nullptr;
}

template <class Stages, bool Adaptive>
void run_blocks(const Task<typename Stages::Data>& task) {
  using Scalar = typename Stages::Scalar;
  [[maybe_unused]] const FlushToZero<Stages::RuleOf::flushes> guard;
  const auto size = std::size_t(task.numbers) * slots_per_block;
  for (SlotCount block = 0; block < task.blocks; ++block) {
    std::vector<Scalar> own(task.scratch ? 0 : size);
    Scalar* const memory = task.scratch ? task.scratch + std::size_t(block) * size : own.data();
    for (int place = 0; place < slots_per_block; ++place) {
      run_slot<Stages, Adaptive>(task, block, place, memory);
    }
  }
}

const char* run(int, const KernelName& kernel, const void* task, long long, std::size_t) {
  const auto run_kernel = [&](auto tag) {
    using Stages = typename decltype(tag)::Stages;
    run_blocks<Stages, decltype(tag)::adaptive>(
        *static_cast<const Task<typename Stages::Data>*>(task));
  };
  kernel.single ? with_kernel<float>(kernel, run_kernel) : with_kernel<double>(kernel, run_kernel);
  return nullptr;
}

}  // namespace

const DeviceTable& emulated_device() {
  using namespace host_memory;
  static constexpr DeviceTable table{
      DeviceTable::current_version, 0, allocate, release, copy, copy, occupancy, run};
  return table;
}

}  // namespace deeplinear
