// Layout: where the weights of each layer, and the vectors of each width, lie in their arrays.
#pragma once

#include <cstddef>
#include <vector>

namespace deeplinear {

struct Layout {
  using Index = std::ptrdiff_t;

  // A maximal range of equal square layers [first, last] of width at most largest_square, or a
  // single other layer.
  struct Segment {
    int first;
    int last;
    bool square;
  };
  static constexpr int largest_square = 8;  // products of equal small layers are unrolled

  std::vector<int> widths;        // d_0 .. d_L
  std::vector<Index> weights;     // offset of W_k (row by row), k = 1 .. L; weights[0] is unused
  std::vector<Index> vectors;     // offset of a vector of width d_k, k = 0 .. L
  std::vector<Segment> segments;  // first layer to last
  Index parameters = 0;           // P = sum_k d_k d_{k-1}
  Index coordinates = 0;          // sum of all widths

  explicit Layout(std::vector<int> widths_) : widths(std::move(widths_)) {
    weights.push_back(0);
    for (int k = 0; k <= depth(); ++k) {
      vectors.push_back(coordinates);
      coordinates += widths[k];
      if (k == 0) continue;
      weights.push_back(parameters);
      parameters += Index(rows(k)) * cols(k);
      const bool square = rows(k) == cols(k) && rows(k) <= largest_square;
      if (square && k > 1 && segments.back().square && rows(k) == rows(k - 1)) {
        segments.back().last = k;
      } else {
        segments.push_back({k, k, square});
      }
    }
  }

  int depth() const { return int(widths.size()) - 1; }
  int rows(int k) const { return widths[k]; }
  int cols(int k) const { return widths[k - 1]; }
};

}  // namespace deeplinear
