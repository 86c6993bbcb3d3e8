// What this machine can do at most: the limits that the time of a step is held against.
#pragma once

#include <cstddef>

namespace deeplinear {

// Floating-point operations per second of independent multiply-adds, two each, in the widest
// registers of this SIMD level, summed over the threads
template <class Scalar>
double multiply_add_rate(int threads, double seconds);

// Bytes per second, the median of several repetitions, as a time of many steps is a mean: on a
// shared machine the fastest pass is one that had the memory to itself
struct Bandwidth {
  double read = 0;             // of passes that sum an array, to and fro
  double read_read_write = 0;  // of a pass that sums it and one that updates it in place: three
                               // times its bytes, the traffic of a gradient step
};

// Over an array of so many bytes; every thread passes over a part of its own.
Bandwidth memory_bandwidth(int threads, std::size_t bytes, int repetitions);

}  // namespace deeplinear
