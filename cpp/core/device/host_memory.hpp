// The memory of devices that this processor plays: its own
#pragma once

#include <cstdlib>
#include <cstring>

namespace deeplinear::host_memory {

inline void* allocate(int, std::size_t bytes) {
  return std::malloc(bytes);
}

inline void release(int, void* memory) {
  std::free(memory);
}

inline const char* copy(int, void* to, const void* from, std::size_t bytes) {
  std::memcpy(to, from, bytes);
  return nullptr;
}

}  // namespace deeplinear::host_memory
