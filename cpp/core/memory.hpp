// Memory of the arrays that steps pass over.
#pragma once

#include <vector>

#include <Eigen/Core>

namespace deeplinear {

// Memory whose alignment does not vary: the order in which Eigen sums depends on it.
template <class T>
using AlignedVector = std::vector<T, Eigen::aligned_allocator<T>>;

}  // namespace deeplinear
