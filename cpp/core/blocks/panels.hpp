// A matrix in panels of columns, a panel after another and row by row within: what products read of
// it, in whatever order, lies together. Every row of a panel is padded by zeros to whole registers.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstring>

#include "simd/aligned_array.hpp"
#include "simd/pack.hpp"

namespace deeplinear {

template <class Scalar>
using Register = Pack<Scalar, native_lanes<Scalar>>;

// The numbers from there on
template <class Scalar>
inline Register<Scalar> read_register(const Scalar* from) {
  Register<Scalar> numbers;
  std::memcpy(&numbers, from, sizeof numbers);
  return numbers;
}

// With one row of a panel beside them, and a number of another matrix, so many rows of sums fill
// the registers. They divide a panel.
#if defined(__AVX512F__) || defined(__aarch64__)
inline constexpr int rows_in_registers = 8;
#else
inline constexpr int rows_in_registers = 4;
#endif
template <class Scalar>
inline constexpr int registers_in_panel = native_lanes<Scalar> < 3 ? 2 : 3;
template <class Scalar>
inline constexpr int panel_width = registers_in_panel<Scalar> * native_lanes<Scalar>;
static_assert(panel_width<double> % rows_in_registers == 0);
static_assert(panel_width<float> % rows_in_registers == 0);

// Where the numbers of such a matrix are
template <class Scalar>
struct PanelShape {
  std::ptrdiff_t rows = 0;
  int cols = 0;

  // Of the panel of column j
  int width(int j) const {
    constexpr int lanes = native_lanes<Scalar>;
    const int left = cols - j / panel_width<Scalar> * panel_width<Scalar>;
    return std::min(panel_width<Scalar>, (left + lanes - 1) / lanes * lanes);
  }
  std::ptrdiff_t place(std::ptrdiff_t i, int j) const {
    const int begin = j / panel_width<Scalar> * panel_width<Scalar>;
    return rows * begin + i * width(j) + (j - begin);
  }
};

// A matrix in memory of another, whose row 0 is one of the rows there
template <class Scalar>
struct PanelRows {
  const Scalar* data;
  PanelShape<Scalar> shape;
  std::ptrdiff_t first;

  const Scalar* at(std::ptrdiff_t i, int j) const { return data + shape.place(first + i, j); }
};

template <class Scalar>
class Panels {
 public:
  Panels() = default;
  Panels(std::ptrdiff_t rows, int cols) : shape_{rows, cols} {
    const int lanes = native_lanes<Scalar>, padded = (cols + lanes - 1) / lanes * lanes;
    numbers_.assign(std::size_t(rows * padded), Scalar(0));
  }

  const PanelShape<Scalar>& shape() const { return shape_; }
  PanelRows<Scalar> from(std::ptrdiff_t row) const { return {numbers_.data(), shape_, row}; }

  Scalar* at(std::ptrdiff_t i, int j) { return numbers_.data() + shape_.place(i, j); }
  const Scalar* at(std::ptrdiff_t i, int j) const { return numbers_.data() + shape_.place(i, j); }

  // The register at a place
  Register<Scalar> get(std::ptrdiff_t place) const {
    return read_register(numbers_.data() + place);
  }
  void set(std::ptrdiff_t place, const Register<Scalar>& numbers) {
    std::memcpy(numbers_.data() + place, &numbers, sizeof numbers);
  }

  // Calls body(place, count) for every panel's part of rows first .. last - 1: so many numbers from
  // that place on
  template <class Body>
  void for_each_part(std::ptrdiff_t first, std::ptrdiff_t last, Body body) const {
    for (int j = 0; j < shape_.cols; j += panel_width<Scalar>) {
      body(shape_.place(first, j), (last - first) * shape_.width(j));
    }
  }

  // Between row i and numbers one after another
  void set_row(std::ptrdiff_t i, const Scalar* numbers) {
    for (int j = 0; j < shape_.cols; j += panel_width<Scalar>) {
      std::copy_n(numbers + j, std::min(shape_.cols - j, panel_width<Scalar>), at(i, j));
    }
  }
  void get_row(std::ptrdiff_t i, Scalar* numbers) const {
    for (int j = 0; j < shape_.cols; j += panel_width<Scalar>) {
      std::copy_n(at(i, j), std::min(shape_.cols - j, panel_width<Scalar>), numbers + j);
    }
  }

  // All numbers, those of the padding among them
  std::ptrdiff_t size() const { return std::ptrdiff_t(numbers_.size()); }
  Scalar* data() { return numbers_.data(); }
  const Scalar* data() const { return numbers_.data(); }

 private:
  PanelShape<Scalar> shape_;
  AlignedVector<Scalar> numbers_;
};

}  // namespace deeplinear
