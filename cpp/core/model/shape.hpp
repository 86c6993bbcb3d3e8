// Shape: a layout as kernels read it, by places of arrays that others own.
#pragma once

#include "simd/precision.hpp"

namespace deeplinear {

// A maximal range of equal square layers [first, last] of width at most largest_square, or a single
// other layer.
struct Segment {
  int first;
  int last;
  bool square;
};

struct Shape {
  static constexpr int largest_square = 8;  // products of equal small layers are unrolled

  int layers;  // L
  int segment_count;
  const int* widths;        // d_0 .. d_L
  const Index* weights;     // offset of W_k (row by row), k = 1 .. L; weights[0] is unused
  const Index* vectors;     // offset of a vector of width d_k, k = 0 .. L
  const Segment* segments;  // first layer to last
  Index parameters;         // P = sum_k d_k d_{k-1}
  Index coordinates;        // sum of all widths

  constexpr int depth() const { return layers; }
  constexpr int rows(int k) const { return widths[k]; }
  constexpr int cols(int k) const { return widths[k - 1]; }
};

}  // namespace deeplinear
