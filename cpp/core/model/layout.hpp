// Layout: where the weights of each layer, and the vectors of each width, lie in their arrays.
#pragma once

#include <vector>

#include "model/shape.hpp"

namespace deeplinear {

// The members are those of Shape.
struct Layout {
  using Index = deeplinear::Index;
  using Segment = deeplinear::Segment;

  std::vector<int> widths;
  std::vector<Index> weights;
  std::vector<Index> vectors;
  std::vector<Segment> segments;
  Index parameters = 0;
  Index coordinates = 0;

  explicit Layout(std::vector<int> widths_) : widths(std::move(widths_)) {
    weights.push_back(0);
    for (int k = 0; k <= depth(); ++k) {
      vectors.push_back(coordinates);
      coordinates += widths[k];
      if (k == 0) continue;
      weights.push_back(parameters);
      parameters += Index(rows(k)) * cols(k);
      const bool square = rows(k) == cols(k) && rows(k) <= Shape::largest_square;
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

  // As long as the layout lives
  operator Shape() const {
    return {depth(),        int(segments.size()), widths.data(), weights.data(),
            vectors.data(), segments.data(),      parameters,    coordinates};
  }
};

}  // namespace deeplinear
