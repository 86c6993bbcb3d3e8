#include "threads/available_threads.hpp"

#include <algorithm>
#include <atomic>
#include <cctype>
#include <chrono>
#include <cstddef>
#include <cstdlib>
#include <latch>
#include <limits>
#include <memory>
#include <mutex>
#include <new>
#include <thread>

#ifdef _OPENMP
#include <pthread.h>
#include <unistd.h>

#include <omp.h>
#endif
#ifdef __linux__
#include <sys/syscall.h>
#endif

namespace deeplinear {

namespace {

std::atomic<FewerThreads> told{nullptr};

}  // namespace

void on_fewer_threads(FewerThreads tell) {
  told = tell;
}

#ifdef _OPENMP

namespace {

using std::size_t;

// Two of Eigen's temporaries of 128 KiB, one within the other, and as much again
constexpr size_t least_stack = size_t(512) << 10;

// Left free beside the stacks, for the work and for the records that the runtime keeps of threads
constexpr size_t spare_bytes = size_t(8) << 20;

// Left to what else starts a thread, just between the look and the start
constexpr int spare_threads = 2;

// Whether this process may have several threads: not where it was forked from one that had some, of
// which the OpenMP runtime has kept the records and lost the threads.
bool may_have_threads() {
  static std::atomic<int> first_process{0};  // that had several threads
  const int here = int(getpid());
  int first = 0;
  return first_process.compare_exchange_strong(first, here) || first == here;
}

// The bytes that a variable asks for, in KiB or a unit of its own, B, K, M or G; 0 where it is not
// set, or not so.
size_t bytes_of(const char* variable) {
  const char* text = std::getenv(variable);
  if (!text) return 0;
  char* end = nullptr;
  const unsigned long long number = std::strtoull(text, &end, 10);
  const auto skip_spaces = [&] {
    while (std::isspace(static_cast<unsigned char>(*end))) ++end;
  };
  if (end == text) return 0;
  skip_spaces();
  const std::string units = "bkmg";
  const size_t unit = *end ? units.find(char(std::tolower(static_cast<unsigned char>(*end)))) : 1;
  if (unit == std::string::npos) return 0;
  if (*end) ++end;
  skip_spaces();
  if (*end || number > std::numeric_limits<size_t>::max() >> 10 * unit) return 0;
  return size_t(number) << 10 * unit;
}

// Read when this module is loaded, as the runtime reads them when it is.
const size_t asked_stack = [] {
  const size_t bytes = bytes_of("OMP_STACKSIZE");
  return bytes ? bytes : bytes_of("GOMP_STACKSIZE");
}();

// The least stack that a thread of the runtime was seen to have; 0 before one was
std::atomic<size_t> seen_stack{0};

// The attributes that the runtime starts its threads with
class Attributes {
 public:
  Attributes() {
    pthread_attr_init(&attributes_);
    const size_t seen = seen_stack, bytes = seen ? seen : asked_stack;
    if (bytes) pthread_attr_setstacksize(&attributes_, bytes);
  }
  ~Attributes() { pthread_attr_destroy(&attributes_); }
  Attributes(const Attributes&) = delete;
  Attributes& operator=(const Attributes&) = delete;

  const pthread_attr_t* get() const { return &attributes_; }

  size_t stack() const {
    size_t bytes = 0;
    pthread_attr_getstacksize(&attributes_, &bytes);
    return bytes;
  }

 private:
  pthread_attr_t attributes_;
};

// A thread that waits until the last is up. It waits at a latch: no lock is taken under that of
// starting threads, so that none of a caller's can come after one of these.
struct Waiting {
  std::latch* all_up;
  pthread_t thread{};
  std::atomic<long> id{0};

  static void* run(void* self) {
    auto* const waiting = static_cast<Waiting*>(self);
#ifdef __linux__
    waiting->id = syscall(SYS_gettid);
#endif
    waiting->all_up->wait();
    return nullptr;
  }

  void join() {
    pthread_join(thread, nullptr);
#ifdef __linux__
    // The kernel counts a thread for a moment after it was joined.
    const long process = getpid();
    for (int i = 0; i < 100'000 && syscall(SYS_tgkill, process, id.load(), 0) == 0; ++i) {
      std::this_thread::yield();
    }
#endif
  }
};

// Starts and joins so many threads and the spare ones, or as many as can run at the same time;
// returns how many that leaves.
int count_startable(int wanted, const Attributes& attributes) {
  const int most = wanted + spare_threads;
  const std::unique_ptr<char[]> left(new (std::nothrow) char[spare_bytes]);
  const std::unique_ptr<Waiting[]> waiting(new (std::nothrow) Waiting[size_t(most)]);
  if (!left || !waiting) return 0;
  std::latch all_up(1);
  int started = 0;
  for (; started < most; ++started) {
    Waiting& one = waiting[size_t(started)];
    one.all_up = &all_up;
    if (pthread_create(&one.thread, attributes.get(), &Waiting::run, &one) != 0) break;
  }
  all_up.count_down();
  for (int i = 0; i < started; ++i) waiting[size_t(i)].join();
  return std::max(0, started - spare_threads);
}

// The stack of the calling thread, where the system tells
size_t own_stack() {
  size_t bytes = std::numeric_limits<size_t>::max();
#ifdef __linux__
  pthread_attr_t attributes;
  if (pthread_getattr_np(pthread_self(), &attributes) == 0) {
    pthread_attr_getstacksize(&attributes, &bytes);
    pthread_attr_destroy(&attributes);
  }
#endif
  return bytes;
}

// A first region of so many threads, which looks at their stacks; returns how many came.
int start_region(int threads) {
  static std::atomic<int> present{1};
  static std::atomic<size_t> least{0};
  least = std::numeric_limits<size_t>::max();
#pragma omp parallel num_threads(threads)
  if (omp_get_thread_num() == 0) {
    present = omp_get_num_threads();
  } else {
    const size_t stack = own_stack();
    size_t before = least;
    while (stack < before && !least.compare_exchange_weak(before, stack)) {
    }
  }
  if (least < std::numeric_limits<size_t>::max()) seen_stack = least.load();
  return present;
}

std::string too_small(size_t stack) {
  return "OMP_STACKSIZE, or the limit of the stack (ulimit -s), gives a thread " +
         std::to_string(stack >> 10) + " KiB, and the work needs " +
         std::to_string(least_stack >> 10) + ": it goes on with one thread, to the same result.";
}

std::string too_few(int wanted, int found) {
  return "Of " + std::to_string(wanted) + " threads " + std::to_string(found) +
         " can run here, where a limit of processes or memory is reached (ulimit -u, ulimit -v, " +
         "or a container's): the work goes on with " + std::to_string(found) +
         ", to the same result.";
}

// Starts the threads of the next region, or as many as can run; returns how many, and says why
// there are fewer.
int start(int wanted, int size, std::string& sentence) {
  // Callers that looked at the same time would count the same room twice.
  static std::mutex starting;
  const std::lock_guard lock(starting);
  const auto stack = [] { return Attributes().stack(); };
  int threads = size;
  if (stack() >= least_stack) {
    threads += count_startable(wanted - size, Attributes());
    if (threads < wanted) sentence = too_few(wanted, threads);
    if (threads > 1) threads = start_region(threads);
  }
  if (stack() >= least_stack) return threads;
  sentence = too_small(stack());
  return 1;
}

// The runtime's threads that the calling thread has, from one region to the next
struct Pool {
  int size = 1;   // of the last region
  int limit = 0;  // where fewer could run than were wanted, and when
  std::chrono::steady_clock::time_point limited;

  // A shortage may pass, but looking takes time.
  int most(int wanted) const {
    using namespace std::chrono_literals;
    if (!limit || std::chrono::steady_clock::now() - limited > 1s) return wanted;
    return std::min(wanted, limit);
  }
};

}  // namespace

int available_threads(int wanted) {
  wanted = std::min(wanted, omp_get_thread_limit());
  if (wanted <= 1 || !may_have_threads() || omp_in_parallel()) return 1;
  thread_local Pool pool;
  int threads = pool.most(wanted);
  std::string sentence;
  if (threads > pool.size) {
    const int found = start(threads, pool.size, sentence);
    pool.limit = found < threads ? found : 0;
    pool.limited = std::chrono::steady_clock::now();
    threads = found;
  }
  // The runtime ends those that a region leaves out.
  if (threads > 1) pool.size = threads;
  if (const FewerThreads tell = told; tell && !sentence.empty()) tell(sentence);
  return threads;
}

#else

int available_threads(int) {
  return 1;
}

#endif

}  // namespace deeplinear
