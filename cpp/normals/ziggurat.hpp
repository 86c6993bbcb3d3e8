// Standard normal numbers by the ziggurat of Marsaglia and Tsang (2000), with NumPy's bits.
//
// The density f(x) = exp(-x^2 / 2), x >= 0, is covered by 256 layers of the same area v: strip i =
// 1 .. 255 reaches to x_i, and layer 0 is the strip to x_255 = r with the tail beyond.
#pragma once

#include <array>
#include <bit>
#include <cmath>
#include <cstdint>

namespace deeplinear {

class Ziggurat {
 public:
  // Computed once
  static const Ziggurat& table();

  // A number from as many words of the generator as NumPy takes
  template <class Bits>
  double operator()(Bits& bits) const {
    for (;;) {
      // 8 bits for the layer, one for the sign, 52 for the place in the layer
      const std::uint64_t word = bits();
      const auto i = std::size_t(word & 0xff);
      const std::uint64_t place = word >> 9 & mask;
      const double distance = double(std::int64_t(place)) * width_[i];
      // Without a branch, which nobody could predict
      const auto sign = (word & 0x100) << 55;
      const auto x = std::bit_cast<double>(std::bit_cast<std::uint64_t>(distance) ^ sign);
      if (place < inner_[i]) return x;
      if (i == 0) return tail(bits, place >> 8 & 1);
      const double height = (height_[i - 1] - height_[i]) * bits.uniform() + height_[i];
      if (height < std::exp(-0.5 * x * x)) return x;
    }
  }

 private:
  Ziggurat();

  // Beyond r, by Marsaglia's method of 1964
  template <class Bits>
  static double tail(Bits& bits, bool negative) {
    for (;;) {
      const double x = -std::log1p(-bits.uniform()) * (1 / r), y = -std::log1p(-bits.uniform());
      if (y + y > x * x) return negative ? -(r + x) : r + x;
    }
  }

  static constexpr double r = 3.6541528853610088;
  static constexpr std::uint64_t mask = (std::uint64_t(1) << 52) - 1;

  // f(x_i); x_i / 2^52, and v / f(r) / 2^52 of layer 0; places that lie below the layer above
  std::array<double, 256> height_, width_;
  std::array<std::uint64_t, 256> inner_;
};

}  // namespace deeplinear
