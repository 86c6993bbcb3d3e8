// PCG64 as NumPy has it: a linear congruential generator of 128 bits, of which a rotation of the
// exclusive or of both halves is returned (O'Neill, "PCG", 2014: setseq, XSL-RR).
#pragma once

#include <array>
#include <bit>
#include <cstdint>

namespace deeplinear {

class Pcg64 {
 public:
  // As NumPy seeds it: the first two words are the start, the last two choose the increment.
  explicit Pcg64(const std::array<std::uint64_t, 4>& seed)
      : increment_(word(seed[2], seed[3]) << 1 | 1) {
    state_ = increment_ + word(seed[0], seed[1]);
    step();
  }

  std::uint64_t operator()() {
    step();
    const auto high = std::uint64_t(state_ >> 64);
    return std::rotr(high ^ std::uint64_t(state_), int(high >> 58));
  }

  // In [0, 1)
  double uniform() { return double(std::int64_t((*this)() >> 11)) * 0x1p-53; }

 private:
  __extension__ using Word = unsigned __int128;

  static constexpr Word word(std::uint64_t high, std::uint64_t low) {
    return Word(high) << 64 | low;
  }
  void step() { state_ = state_ * word(0x2360ed051fc65da4, 0x4385df649fccf645) + increment_; }

  Word increment_, state_;
};

}  // namespace deeplinear
