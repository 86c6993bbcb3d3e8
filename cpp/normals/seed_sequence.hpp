// NumPy's SeedSequence: the state of a generator from a seed, by hashes that let every bit of the
// seed reach every bit of the state (O'Neill, "Developing a seed_seq alternative", 2015).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace deeplinear {

// What SeedSequence(seed, spawn_key=(0,)).generate_state(4, numpy.uint64) returns
class SeedSequence {
 public:
  explicit SeedSequence(std::uint64_t seed) {
    // The words of the seed, zeros up to the size of the pool, and the word of the spawn key
    const Pool words{std::uint32_t(seed), std::uint32_t(seed >> 32), 0, 0};
    constexpr std::uint32_t spawn_key = 0;
    Hash hash{0x43b0d7e5, 0x931e8875};
    for (std::size_t i = 0; i < pool_.size(); ++i) pool_[i] = hash(words[i]);
    for (std::size_t from = 0; from < pool_.size(); ++from) {
      for (std::size_t to = 0; to < pool_.size(); ++to) {
        if (from != to) pool_[to] = mixed(pool_[to], hash(pool_[from]));
      }
    }
    for (std::uint32_t& word : pool_) word = mixed(word, hash(spawn_key));
  }

  std::array<std::uint64_t, 4> state() const {
    Hash hash{0x8b51f9dd, 0x58f38ded};
    std::array<std::uint64_t, 4> found;
    for (std::size_t i = 0; i < found.size(); ++i) {
      const std::uint64_t low = hash(pool_[2 * i % pool_.size()]);
      const std::uint64_t high = hash(pool_[(2 * i + 1) % pool_.size()]);
      found[i] = high << 32 | low;
    }
    return found;
  }

 private:
  using Pool = std::array<std::uint32_t, 4>;

  // A hash whose constant is another one at every call
  struct Hash {
    std::uint32_t constant, factor;

    std::uint32_t operator()(std::uint32_t word) {
      word ^= constant;
      constant *= factor;
      word *= constant;
      return word ^ word >> 16;
    }
  };

  static std::uint32_t mixed(std::uint32_t x, std::uint32_t y) {
    const std::uint32_t word = 0xca01f9dd * x - 0x4973f715 * y;
    return word ^ word >> 16;
  }

  Pool pool_;
};

}  // namespace deeplinear
