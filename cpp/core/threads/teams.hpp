// Threads: several teams at once, each with a leader.
#pragma once

#ifdef _OPENMP
#include <omp.h>
#endif

#include <algorithm>
#include <atomic>
#include <exception>
#include <memory>
#include <vector>

#include "threads/available_threads.hpp"
#include "threads/team.hpp"

namespace deeplinear {

namespace detail {

// Counted up before a parallel region and read within: so what the calling thread wrote before is
// known to happen before, without a look into the OpenMP runtime.
inline std::atomic<unsigned> regions{0};

// The teams of one parallel region. What they share is published and joined through atomics.
template <class Body>
class Teams {
 public:
  Teams(int count, int threads, Body& body) : count_(count), threads_(threads), body_(body) {}

  // On every thread of the region; `present` of them came.
  void work(int thread, int present) {
    regions.load(std::memory_order_acquire);
    if (thread == 0) {
      make(present);
      ready_.store(true, std::memory_order_release);
    } else {
      wait_until([&] { return ready_.load(std::memory_order_acquire); });
    }
    const int size = teams_.empty() ? 1 : teams_.front()->size(), team = thread / size;
    if (team < int(teams_.size())) {
      thread % size == 0 ? lead(team) : teams_[team]->serve(thread % size);
    }
    done_.fetch_add(1, std::memory_order_release);
    if (thread == 0) wait_until([&] { return done_.load(std::memory_order_acquire) == present; });
  }

  void rethrow() {
    for (const auto& failure : failures_) {
      if (failure) std::rethrow_exception(failure);
    }
  }

 private:
  // None where there is no memory: an exception must not leave a parallel region.
  void make(int present) {
    const int leaders = std::min(count_, present), size = std::min(threads_, present) / leaders;
    try {
      for (int i = 0; i < leaders; ++i) teams_.push_back(std::make_unique<Team>(size));
    } catch (...) {
      teams_.clear();
      failures_[0] = std::current_exception();
    }
  }

  void lead(int team) {
    try {
      body_(team, *teams_[team]);
    } catch (...) {
      failures_[team] = std::current_exception();
    }
    teams_[team]->dismiss();
  }

  const int count_, threads_;
  Body& body_;
  std::vector<std::unique_ptr<Team>> teams_;
  std::vector<std::exception_ptr> failures_ = std::vector<std::exception_ptr>(count_);
  std::atomic<bool> ready_{false};
  std::atomic<int> done_{0};
};

}  // namespace detail

// Calls body(i, team) for teams i = 0 .. count - 1 of equal size, each on the thread of its leader,
// team 0 on the calling one; fewer teams, and smaller ones, where there are not so many threads.
// Throws what a body threw, once all have returned.
template <class Body>
inline void with_teams(int count, int threads, Body body) {
  detail::Teams<Body> teams(count, std::max(threads, 1), body);
#ifdef _OPENMP
  const int present = available_threads(threads);
  if (present > 1) {
    auto* const shared = &teams;
    detail::regions.fetch_add(1, std::memory_order_release);
#pragma omp parallel num_threads(present) firstprivate(shared)
    shared->work(omp_get_thread_num(), omp_get_num_threads());
  } else {
    teams.work(0, 1);
  }
#else
  teams.work(0, 1);
#endif
  teams.rethrow();
}

}  // namespace deeplinear
