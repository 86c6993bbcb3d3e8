#include <cstdlib>
#include <cstring>
#include <vector>

#include "device/kernels.hpp"
#include "device/table.hpp"
#include "rules/table.hpp"
#include "simd/flush_to_zero.hpp"

namespace deeplinear {
namespace {

void* allocate(int, std::size_t bytes) {
  return std::malloc(bytes);
}

void release(int, void* memory) {
  std::free(memory);
}

const char* copy(int, void* to, const void* from, std::size_t bytes) {
  std::memcpy(to, from, bytes);
  return nullptr;
}

// Half of the tasks have no room, so that both kinds of memory are tried.
const char* occupancy(int, const KernelName& kernel, std::size_t, long long* blocks,
                      bool* has_room) {
  *blocks = 2;
  *has_room = !kernel.single;
  return nullptr;
}

template <class Stages, bool Adaptive>
void run_blocks(const void* argument) {
  using Scalar = typename Stages::Scalar;
  const auto& task = *static_cast<const Task<typename Stages::Data>*>(argument);
  const auto size = std::size_t(task.numbers) * slots_per_block;
  for (SlotCount block = 0; block < task.blocks; ++block) {
    std::vector<Scalar> own(task.scratch ? 0 : size);
    Scalar* const memory = task.scratch ? task.scratch + std::size_t(block) * size : own.data();
    for (int place = 0; place < slots_per_block; ++place) {
      run_slot<Stages, Adaptive>(task, block, place, memory);
    }
  }
}

template <class Scalar>
void run_kernel(const KernelName& kernel, const void* task) {
  int place = 0;
  for_each_rule([&]<template <class> class R>(RuleTag<R>) {
    if (place++ != kernel.rule) return;
    [[maybe_unused]] const FlushToZero<R<Pack<Scalar, 1>>::flushes> guard;
    if constexpr (R<Pack<Scalar, 1>>::arrays == 0) {
      if (kernel.adaptive && kernel.by_samples) {
        return run_blocks<SampleKernel<Scalar, R>, true>(task);
      }
      if (kernel.adaptive) return run_blocks<ChainKernel<Scalar, R>, true>(task);
    }
    if (kernel.by_samples) return run_blocks<SampleKernel<Scalar, R>, false>(task);
    run_blocks<ChainKernel<Scalar, R>, false>(task);
  });
}

const char* run(int, const KernelName& kernel, const void* task, std::size_t) {
  kernel.single ? run_kernel<float>(kernel, task) : run_kernel<double>(kernel, task);
  return nullptr;
}

}  // namespace

const DeviceTable& emulated_device() {
  static constexpr DeviceTable table{
      DeviceTable::current_version, 0, allocate, release, copy, copy, occupancy, run};
  return table;
}

}  // namespace deeplinear
