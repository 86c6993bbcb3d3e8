// The graphics processors of this machine.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "device/table.hpp"

namespace deeplinear::cuda {

struct Processor {
  std::string name;
  int major = 0, minor = 0;  // compute capability
  int multiprocessors = 0;
  std::size_t memory = 0;         // bytes, in all
  std::size_t shared_memory = 0;  // bytes that a block can have
};

// Why none can be used, or nothing
std::string failure();

// All that can be used; none where there is a failure
std::vector<Processor> processors();

// Of the device of that number, which is one of `processors`, as long as the program runs
const DeviceTable& table_of(int device);

}  // namespace deeplinear::cuda
