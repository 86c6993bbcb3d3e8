// Column: where the numbers of a run lie in a matrix whose rows are `Stride` long, and hold the
// same number of as many runs side by side.
#pragma once

#include "simd/lane.hpp"

namespace deeplinear {

template <class Scalar_, int Stride>
class Column {
 public:
  using Scalar = Scalar_;
  using P = Pack<Scalar, 1>;

  // A number in memory
  class Entry {
   public:
    explicit constexpr Entry(Scalar* at) : at_(at) {}
    Entry(const Entry&) = default;
    constexpr operator P() const { return P(*at_); }
    constexpr const Entry& operator=(const P& x) const {
      *at_ = x.part[0];
      return *this;
    }
    constexpr const Entry& operator=(const Entry& other) const { return *this = P(other); }

   private:
    Scalar* at_;
  };

  Column() = default;
  explicit constexpr Column(Scalar* first) : first_(first) {}

  constexpr Entry operator[](Index n) const { return Entry(first_ + n * Stride); }
  constexpr Column operator+(Index n) const { return Column(first_ + n * Stride); }

 private:
  Scalar* first_;
};

}  // namespace deeplinear
