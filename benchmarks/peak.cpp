// The machine's own limits: multiply-adds in registers, and a triad through memory. Plain C++, built when asked for.
#include <chrono>
#include <cstddef>

namespace {

#if defined(__AVX512F__)
constexpr std::size_t vector_bytes = 64;
#elif defined(__AVX__)
constexpr std::size_t vector_bytes = 32;
#else
constexpr std::size_t vector_bytes = 16;
#endif

double now() {
  using namespace std::chrono;
  return duration<double>(steady_clock::now().time_since_epoch()).count();
}

// Two pipes of latency 4 or 5 need 10 independent sums; 12 and their two factors fit the 16 registers of AVX2.
template <class Scalar>
double multiply_add_rate(double seconds) {
  typedef Scalar Vector __attribute__((vector_size(vector_bytes)));
  constexpr int sums = 12;
  constexpr long block = 200'000;
  Vector sum[sums];
  for (int i = 0; i < sums; ++i) sum[i] = Vector{} + Scalar(i);
  Vector factor = Vector{} + Scalar(0.999), term = Vector{} + Scalar(1e-3);
  asm volatile("" : "+m"(factor), "+m"(term));
  long blocks = 0;
  const double start = now();
  double elapsed = 0;
  while (elapsed < seconds) {
    for (long round = 0; round < block; ++round) {
#pragma GCC unroll 12
      for (int i = 0; i < sums; ++i) sum[i] = sum[i] * factor + term;
    }
    ++blocks;
    elapsed = now() - start;
  }
  asm volatile("" : : "m"(sum) : "memory");
  const double lanes = vector_bytes / sizeof(Scalar);
  return 2.0 * lanes * sums * double(block) * double(blocks) / elapsed;
}

}  // namespace

extern "C" {

double multiply_add_rate_float64(double seconds) { return multiply_add_rate<double>(seconds); }
double multiply_add_rate_float32(double seconds) { return multiply_add_rate<float>(seconds); }

// Bytes per second of a = b + factor * c, counted as two reads and one write.
double triad_rate(double* a, const double* b, const double* c, std::size_t size, double seconds) {
  long passes = 0;
  const double start = now();
  double elapsed = 0;
  while (elapsed < seconds) {
    for (std::size_t i = 0; i < size; ++i) a[i] = b[i] + 0.5 * c[i];
    asm volatile("" : : "r"(a) : "memory");
    ++passes;
    elapsed = now() - start;
  }
  return 3.0 * sizeof(double) * double(size) * double(passes) / elapsed;
}
}
