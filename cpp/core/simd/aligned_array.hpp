// Memory of the arrays that steps pass over.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include <Eigen/Core>

#ifdef __linux__
#include <sys/mman.h>
#endif

namespace deeplinear {

// Asks for huge pages where an array fills some: they are made, and their addresses found, at a
// fraction of the cost of small ones.
inline void prefer_huge_pages([[maybe_unused]] void* array, [[maybe_unused]] std::size_t bytes) {
#ifdef MADV_HUGEPAGE
  constexpr std::uintptr_t page = std::uintptr_t(1) << 21;
  const auto start = reinterpret_cast<std::uintptr_t>(array);
  const std::uintptr_t first = (start + page - 1) / page * page,
                       last = (start + bytes) / page * page;
  if (first < last) madvise(reinterpret_cast<void*>(first), last - first, MADV_HUGEPAGE);
#endif
}

// Memory whose alignment does not vary: the order in which Eigen sums depends on it.
template <class T>
struct ArrayAllocator : Eigen::aligned_allocator<T> {
  template <class Other>
  struct rebind {
    using other = ArrayAllocator<Other>;
  };

  ArrayAllocator() = default;
  template <class Other>
  ArrayAllocator(const ArrayAllocator<Other>&) {}

  T* allocate(std::size_t count, const void* = nullptr) {
    T* const array = Eigen::aligned_allocator<T>::allocate(count);
    prefer_huge_pages(array, count * sizeof(T));
    return array;
  }
};

template <class T>
using AlignedVector = std::vector<T, ArrayAllocator<T>>;

}  // namespace deeplinear
