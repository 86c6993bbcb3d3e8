// FlushToZero: while an object lives, this thread takes numbers below the smallest normal one for
// zero, which processors are slow to compute with.
#pragma once

#include <cstdint>

#if defined(__SSE2__)
#include <immintrin.h>
#endif

namespace deeplinear {

template <bool Does = true>
class FlushToZero {
 public:
  FlushToZero() : before_(get()) { set(before_ | bits); }
  ~FlushToZero() { set(before_); }
  FlushToZero(const FlushToZero&) = delete;
  FlushToZero& operator=(const FlushToZero&) = delete;

 private:
#if defined(__SSE2__)
  using Register = unsigned;
  static constexpr Register bits = 0x8040;  // of results, and of operands
  static Register get() { return _mm_getcsr(); }
  static void set(Register x) { _mm_setcsr(x); }
#elif defined(__aarch64__)
  using Register = std::uint64_t;
  static constexpr Register bits = 1 << 24;
  static Register get() {
    Register x;
    asm volatile("mrs %0, fpcr" : "=r"(x));
    return x;
  }
  static void set(Register x) { asm volatile("msr fpcr, %0" : : "r"(x)); }
#else
  using Register = int;
  static constexpr Register bits = 0;
  static Register get() { return 0; }
  static void set(Register) {}
#endif

  const Register before_;
};

template <>
class FlushToZero<false> {};

}  // namespace deeplinear
