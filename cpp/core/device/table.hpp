// DeviceTable: what an engine asks of a device, as functions over plain memory, so that whoever
// knows a device need not know the engine, nor be compiled with it.
#pragma once

#include <cstddef>

namespace deeplinear {

// A kernel by what it was made for
struct KernelName {
  bool by_samples, adaptive, single;
  int rule;  // its place in the table of rules
};

// Functions that can fail return a sentence that says why, or null. `device` is the number of the
// table's device.
struct DeviceTable {
  // What tables and tasks look like; both sides must agree.
  static constexpr int current_version = 1;
  int version;
  int device;

  // Memory of the device, null where there is not so much left
  void* (*allocate)(int device, std::size_t bytes);
  void (*release)(int device, void* memory);
  const char* (*upload)(int device, void* to, const void* from, std::size_t bytes);
  const char* (*download)(int device, void* to, const void* from, std::size_t bytes);

  // How many blocks of so many bytes work at the same time, and whether a block has room for them
  // in memory of its own
  const char* (*occupancy)(int device, const KernelName& kernel, std::size_t bytes_per_block,
                           long long* blocks, bool* has_room);

  // Advances the slots of a Task of so many blocks, and returns when all have stopped.
  const char* (*run)(int device, const KernelName& kernel, const void* task, long long blocks,
                     std::size_t bytes_per_block);
};

// The processor, as a device on which one thread is after another
const DeviceTable& emulated_device();

}  // namespace deeplinear
