#include "limits/peaks.hpp"

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <memory>
#include <new>
#include <vector>

#ifdef _OPENMP
#include <omp.h>
#endif

#include "simd/aligned_array.hpp"
#include "simd/pack.hpp"
#include "threads/available_threads.hpp"

namespace deeplinear {

namespace {

using std::size_t;
template <class Scalar>
using Widest = Pack<Scalar, native_lanes<Scalar>>;
using Number = Widest<double>;

constexpr size_t page = size_t(1) << 21;   // a huge one
constexpr size_t block = size_t(1) << 14;  // numbers that are read in a row, 128 KB

double now() {
  using namespace std::chrono;
  return duration<double>(steady_clock::now().time_since_epoch()).count();
}

// Which thread of how many the caller is.
struct Member {
  size_t index = 0, count = 1;
};

Member member() {
#ifdef _OPENMP
  return {size_t(omp_get_thread_num()), size_t(omp_get_num_threads())};
#else
  return {};
#endif
}

// Two pipes of latency 4 or 5 need 10 independent sums; 12 and their two factors fit 16 registers.
template <class Scalar>
double multiply_adds_per_second(double seconds) {
  using P = Widest<Scalar>;
  constexpr int sums = 12;
  constexpr int rounds = 200'000;
  volatile Scalar given_factor = Scalar(0.999), given_term = Scalar(1e-3);
  const P factor(given_factor), term(given_term);
  P sum[sums];
  for (int i = 0; i < sums; ++i) sum[i] = P(Scalar(i));
  double done = 0, elapsed = 0;
  const double start = now();
  while (elapsed < seconds) {
    for (int round = 0; round < rounds; ++round) {
      for (int i = 0; i < sums; ++i) sum[i] = fma(sum[i], factor, term);
    }
    done += double(rounds) * sums * P::lanes;
    elapsed = now() - start;
  }
  for (int i = 1; i < sums; ++i) sum[0] = sum[0] + sum[i];
  volatile Scalar used = sum[0].lane(0);
  (void)used;
  return done / elapsed;
}

// A part of the array that one thread owns, in whole blocks
struct Part {
  double* begin;
  size_t blocks;
};

Part part_of(double* array, size_t blocks, Member thread) {
  const size_t first = blocks * thread.index / thread.count;
  const size_t last = blocks * (thread.index + 1) / thread.count;
  return {array + first * block, last - first};
}

Number load(const double* from) {
  Number number;
  number.part[0] = Eigen::internal::pload<Number::Register>(from);
  return number;
}

// One stream of addresses leaves a thread waiting for memory; four are up to a third faster.
constexpr size_t streams = 4;
constexpr size_t apart = block / streams;

// The sum; backward from the last block to the first, as the pull takes the layers, else from the
// first to the last, as the push does: what the caches kept of one pass is the start of the next.
template <bool backward>
double sum_of(Part part) {
  constexpr size_t lanes = Number::lanes;
  Number sum[streams][2];
  for (auto& pair : sum) pair[0] = pair[1] = zero<Number>();
  for (size_t b = 0; b < part.blocks; ++b) {
    const double* x = part.begin + (backward ? part.blocks - 1 - b : b) * block;
    for (size_t i = 0; i < apart; i += 2 * lanes) {
      for (size_t s = 0; s < streams; ++s) {
        for (size_t j = 0; j < 2; ++j) {
          sum[s][j] = sum[s][j] + load(x + s * apart + i + j * lanes);
        }
      }
    }
  }
  Number total = zero<Number>();
  for (const auto& pair : sum) total = total + (pair[0] + pair[1]);
  return total.lane(0);
}

// x <- factor x, from the first block to the last
void update(Part part, double factor) {
  constexpr size_t lanes = Number::lanes;
  const Number scale(factor);
  for (size_t b = 0; b < part.blocks; ++b) {
    double* x = part.begin + b * block;
    for (size_t i = 0; i < apart; i += lanes) {
      for (size_t s = 0; s < streams; ++s) {
        double* at = x + s * apart + i;
        Eigen::internal::pstore(at, (load(at) * scale).part[0]);
      }
    }
  }
}

// Median seconds of a repetition; pass(part) runs on every thread's part at the same time.
template <class Pass>
double seconds_of(int threads, int repetitions, double* array, size_t blocks, Pass pass) {
  std::vector<double> seconds;
  seconds.reserve(size_t(repetitions));  // an exception must not leave a parallel region
  double start = 0;
#pragma omp parallel num_threads(threads)
  {
    const Member thread = member();
    const Part part = part_of(array, blocks, thread);
    for (int repetition = 0; repetition < repetitions; ++repetition) {
#pragma omp barrier
      if (thread.index == 0) start = now();
      pass(part);
#pragma omp barrier
      if (thread.index == 0) seconds.push_back(now() - start);
    }
  }
  const auto middle = seconds.begin() + seconds.size() / 2;
  std::nth_element(seconds.begin(), middle, seconds.end());
  return *middle;
}

struct Free {
  void operator()(double* array) const { std::free(array); }
};

}  // namespace

template <class Scalar>
double multiply_add_rate(int threads, double seconds) {
  threads = available_threads(threads);
  double total = 0;
#pragma omp parallel num_threads(threads) reduction(+ : total)
  total += 2 * multiply_adds_per_second<Scalar>(seconds);
  return total;
}

template double multiply_add_rate<float>(int, double);
template double multiply_add_rate<double>(int, double);

Bandwidth memory_bandwidth(int threads, size_t bytes, int repetitions) {
  threads = available_threads(threads);
  const size_t blocks = std::max<size_t>(1, bytes / (block * sizeof(double)));
  const size_t size = blocks * block * sizeof(double);
  const size_t allocated = (size + page - 1) / page * page;
  const std::unique_ptr<double, Free> array(
      static_cast<double*>(std::aligned_alloc(page, allocated)));
  if (!array) throw std::bad_alloc();
  prefer_huge_pages(array.get(), allocated);
  // First touched by the thread that will use it: pages lie in the memory next to it.
#pragma omp parallel num_threads(threads)
  {
    const Part part = part_of(array.get(), blocks, member());
    std::fill_n(part.begin, part.blocks * block, 1.0);
  }
  volatile double given_factor = 1;
  const double factor = given_factor;
  volatile double used = 0;
  const double reads = seconds_of(threads, repetitions, array.get(), blocks, [&](Part part) {
    if (sum_of<true>(part) + sum_of<false>(part) < 0) used = 1;
  });
  const double step = seconds_of(threads, repetitions, array.get(), blocks, [&](Part part) {
    if (sum_of<true>(part) < 0) used = 1;
    update(part, factor);
  });
  return {2 * double(size) / reads, 3 * double(size) / step};
}

}  // namespace deeplinear
