// Team: the threads that share the work inside one run.
//
// One of them, the leader, runs the program and calls run(body); the others serve, and take part in
// every body until they are dismissed. What passes between them is ordered by these atomics alone.
#pragma once

#include <algorithm>
#include <atomic>
#include <chrono>
#include <exception>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

namespace deeplinear {

// Waits for another thread of the team: for the microsecond between two layers without giving up
// the processor, then with. Where threads outnumber processors the one waited for may not be
// running, and spins are lost to it: of two large networks at once on two cores each takes 2.5
// times as long as alone, but 24 times with 4000 spins.
template <class Condition>
inline void wait_until(Condition condition) {
  constexpr int spins = 100, yields = 1000;
  for (int i = 0; !condition(); ++i) {
    if (i < spins) {
#if defined(__x86_64__)
      __builtin_ia32_pause();
#elif defined(__aarch64__)
      asm volatile("yield");
#endif
    } else if (i < spins + yields) {
      std::this_thread::yield();
    } else {
      std::this_thread::sleep_for(std::chrono::microseconds(50));
    }
  }
}

class Team {
 public:
  // A part [first, last) of a whole
  struct Range {
    int first, last;

    bool empty() const { return first == last; }
  };

  // A thread of the team within run()
  struct Member {
    Team& team;
    int index;

    int size() const { return team.size(); }
    void barrier() { team.meet(index); }

    // The member's part of 0 .. count in whole units, the last of which may be cut short
    Range share(int count, int unit = 1) const {
      const auto bound = [&](int i) {
        const long units = (long(count) + unit - 1) / unit;
        return int(std::min<long>(count, units * i / size() * unit));
      };
      return {bound(index), bound(index + 1)};
    }
  };

  explicit Team(int size) : places_(size) {}

  int size() const { return int(places_.size()); }

  // Calls body(member) on every thread of the team, and throws the first of what they threw once
  // all have returned; a body whose threads meet must not throw. By the leader alone.
  template <class Body>
  void run(Body&& body) {
    Member leader{*this, 0};
    if (size() == 1) return body(leader);
    call_ = [](void* function, Member member) {
      (*static_cast<std::remove_reference_t<Body>*>(function))(member);
    };
    body_ = const_cast<void*>(static_cast<const void*>(&body));
    meet(0);
    attempt([&] { body(leader); });
    meet(0);
    if (failed_.exchange(false, std::memory_order_relaxed)) {
      std::rethrow_exception(std::exchange(failure_, nullptr));
    }
  }

  // What a thread other than the leader does, index 1 .. size - 1
  void serve(int index) {
    for (;;) {
      meet(index);
      if (!call_) return;
      attempt([&] { call_(body_, Member{*this, index}); });
      meet(index);
    }
  }

  // Ends serve(). By the leader alone.
  void dismiss() {
    if (size() == 1) return;
    call_ = nullptr;
    meet(0);
  }

 private:
  template <class Call>
  void attempt(Call call) {
    try {
      call();
    } catch (...) {
      if (!failed_.exchange(true, std::memory_order_relaxed)) failure_ = std::current_exception();
    }
  }

  // Each in a cache line of its own
  struct alignas(128) Place {
    std::atomic<unsigned> arrivals{0};
  };

  // Returns when every member has come here as often as this one. Each says so in its own place and
  // looks at those of all others: for a few threads that is one passage of a cache line.
  void meet(int index) {
    const unsigned mine = places_[index].arrivals.load(std::memory_order_relaxed) + 1;
    places_[index].arrivals.store(mine, std::memory_order_release);
    for (auto& place : places_) {
      wait_until([&] { return int(place.arrivals.load(std::memory_order_acquire) - mine) >= 0; });
    }
  }

  std::vector<Place> places_;
  void (*call_)(void*, Member) = nullptr;
  void* body_ = nullptr;
  std::atomic<bool> failed_{false};
  std::exception_ptr failure_;
};

}  // namespace deeplinear
