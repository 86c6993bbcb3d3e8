// Streams: how the rows of a layer are read.
//
// Rows are read as several streams side by side. A processor fetches ahead along several streams at
// once, but only along one within a page, and does so the better the longer they are. More of them
// make the work per row cheaper.
#pragma once

#include <cstddef>

#include <Eigen/Core>

namespace deeplinear {

inline constexpr int line_bytes = 64;  // of a cache

// Consecutive rows first .. last of a layer
struct Rows {
  int first, last;

  int count() const { return last - first; }
  bool empty() const { return first == last; }
};

// Rows of a layer that lie one after another from W on: `count` from row `first`
template <class Number>
struct Stream {
  Number* W;
  int first, count;
};

// How many streams are read at a time
template <class Scalar>
struct StreamCounts {
  // W^T x reads and writes its sum once for all streams.
  static constexpr int transposed = 4;
  // An update reads the terms once for all. The factors of four rows and four terms fit 32
  // registers, those of two rows 16.
  static constexpr int fold = EIGEN_ARCH_DEFAULT_NUMBER_OF_REGISTERS >= 32 ? 4 : 2;
  // W x has little to do but at the end of a row; two short rows at a time are dear.
  static bool short_rows(int cols) { return cols < 768 / int(sizeof(Scalar)); }
};

// Cuts rows of a layer, (.., cols) at W, into R streams of `each` rows but for the last, which has
// what is left.
template <int R, class Number>
inline void split(Number* W, int cols, const Rows& rows, int each, Stream<Number> (&streams)[R]) {
  for (int r = 0; r < R; ++r) {
    const int first = rows.first + r * each;
    streams[r] = {W + std::ptrdiff_t(first) * cols, first, r == R - 1 ? rows.last - first : each};
  }
}
template <int R, class Number>
inline void split(Number* W, int cols, const Rows& rows, Stream<Number> (&streams)[R]) {
  split(W, cols, rows, rows.count() / R, streams);
}

// What a thread reads next. The first lines of its streams are fetched while it works on the last
// rows of those before: two, from which the processor goes on by itself.
struct Upcoming {
  static constexpr int capacity = 4;
  int count = 0;
  const void* start[capacity];

  Upcoming() = default;
  template <int R, class Number>
  explicit Upcoming(const Stream<Number> (&streams)[R]) {
    static_assert(R <= capacity);
    for (const auto& stream : streams) {
      if (stream.count > 0) start[count++] = stream.W;
    }
  }

  void fetch() const {
    for (int r = 0; r < count; ++r) {
      __builtin_prefetch(start[r]);
      __builtin_prefetch(static_cast<const char*>(start[r]) + line_bytes);
    }
  }
};

}  // namespace deeplinear
