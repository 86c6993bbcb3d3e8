// Checks of a test program: one that fails is told with its place, and the program ends with 1.
#pragma once

#include <atomic>
#include <bit>
#include <cmath>
#include <concepts>
#include <cstdint>
#include <cstdio>
#include <random>
#include <type_traits>

namespace deeplinear::tests {

inline std::atomic<int> failures{0};  // threads may check

inline void check(bool holds, int line = __builtin_LINE(), const char* file = __builtin_FILE()) {
  if (holds) return;
  ++failures;
  std::fprintf(stderr, "%s:%d: does not hold\n", file, line);
}

// To the bit, but that one NaN is as good as another
template <std::floating_point Scalar>
void check_equal(Scalar found, std::type_identity_t<Scalar> expected, int line = __builtin_LINE(),
                 const char* file = __builtin_FILE()) {
  using Bits = std::conditional_t<sizeof(Scalar) == 8, std::uint64_t, std::uint32_t>;
  if (std::isnan(found) && std::isnan(expected)) return;
  if (std::bit_cast<Bits>(found) == std::bit_cast<Bits>(expected)) return;
  ++failures;
  std::fprintf(stderr, "%s:%d: is %.17g and should be %.17g\n", file, line, double(found),
               double(expected));
}

// |found - expected| <= tolerance
inline void check_close(long double found, long double expected, long double tolerance,
                        int line = __builtin_LINE(), const char* file = __builtin_FILE()) {
  if (std::abs(found - expected) <= tolerance) return;
  ++failures;
  std::fprintf(stderr, "%s:%d: is %.20Lg and should be %.20Lg within %.3Lg\n", file, line, found,
               expected, tolerance);
}

// The exit status of main
inline int status() {
  return failures == 0 ? 0 : 1;
}

// The same numbers on every machine: those of the standard library's engine are laid down, those of
// its distributions are not.
class Numbers {
 public:
  explicit Numbers(unsigned seed) : engine_(seed) {}

  // In [low, high)
  double between(double low, double high) {
    return low + (high - low) * double(engine_() >> 11) * 0x1p-53;
  }
  // 0 .. count - 1
  int below(int count) { return int(engine_() % unsigned(count)); }

 private:
  std::mt19937_64 engine_;
};

}  // namespace deeplinear::tests
