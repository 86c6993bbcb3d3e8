// Teams: who takes part, what is shared how, what is seen after a meeting, and what a failure does.
#include <algorithm>
#include <atomic>
#include <mutex>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "check.hpp"
#include "threads/available_threads.hpp"
#include "threads/stop.hpp"
#include "threads/team.hpp"
#include "threads/teams.hpp"

namespace {

using namespace deeplinear;
using namespace deeplinear::tests;

// Calls body(team) as the leader, while the others serve.
template <class Body>
void with_team(int size, Body body) {
  Team team(size);
  std::vector<std::thread> others;
  for (int i = 1; i < size; ++i) others.emplace_back([&team, i] { team.serve(i); });
  body(team);
  team.dismiss();
  for (auto& other : others) other.join();
}

// Parts follow one another from 0 to count, begin at multiples of the unit, and differ by one unit
// at most, or two where the last is cut short.
void check_shares(int size) {
  Team team(size);
  for (const int unit : {1, 4, 16}) {
    for (const int count : {0, 1, 3, 16, 17, 100, 1000}) {
      int end = 0, least = count, most = 0;
      for (int i = 0; i < size; ++i) {
        const auto part = Team::Member{team, i}.share(count, unit);
        check(part.first == end && part.first <= part.last);
        check(part.first % unit == 0 || part.empty());
        check(part.empty() == (part.first == part.last));
        end = part.last;
        least = std::min(least, part.last - part.first);
        most = std::max(most, part.last - part.first);
      }
      check(end == count);
      check(most - least <= 2 * unit);
    }
  }
}

void check_bodies(int size) {
  with_team(size, [&](Team& team) {
    check(team.size() == size);
    for (int round = 0; round < 50; ++round) {
      std::vector<int> calls(size, 0);
      team.run([&](Team::Member member) {
        check(member.size() == size);
        ++calls[member.index];
      });
      for (const int count : calls) check(count == 1);
    }
  });
}

// What every member wrote before a meeting, all others read after it. The memory is no atomic: the
// thread sanitizer looks on.
void check_meetings(int size) {
  with_team(size, [&](Team& team) {
    std::vector<long> written(2 * size, 0);
    team.run([&](Team::Member member) {
      for (long round = 1; round <= 200; ++round) {
        long* const now = written.data() + (round % 2) * size;
        now[member.index] = round * (member.index + 1);
        member.barrier();
        for (int i = 0; i < size; ++i) check(now[i] == round * (i + 1));
      }
    });
  });
}

// One failure is thrown on the leader, whoever it was that failed, and the team goes on.
void check_failures(int size) {
  with_team(size, [&](Team& team) {
    for (int failing = 0; failing < size; ++failing) {
      std::atomic<int> returned{0};
      bool thrown = false;
      try {
        team.run([&](Team::Member member) {
          ++returned;
          if (member.index == failing) throw std::runtime_error("a reason");
        });
      } catch (const std::runtime_error& error) {
        thrown = std::string(error.what()) == "a reason";
      }
      check(thrown && returned == size);
    }
    bool thrown = false;
    try {
      team.run([](Team::Member) { throw std::runtime_error("all"); });
    } catch (const std::runtime_error&) {
      thrown = true;
    }
    check(thrown);
    std::atomic<int> calls{0};
    team.run([&](Team::Member) { ++calls; });
    check(calls == size);
  });
}

// Each team once, of one size, all of them on no more threads than asked for
void check_teams(int count, int threads) {
  std::mutex mutex;
  std::vector<int> seen, sizes;
  std::atomic<int> members{0};
  const auto caller = std::this_thread::get_id();
  with_teams(count, threads, [&](int index, Team& team) {
    check(index != 0 || std::this_thread::get_id() == caller);
    team.run([&](Team::Member) { ++members; });
    const std::lock_guard lock(mutex);
    seen.push_back(index);
    sizes.push_back(team.size());
  });
  std::sort(seen.begin(), seen.end());
  check(!seen.empty() && int(seen.size()) <= count);
  for (int i = 0; i < int(seen.size()); ++i) check(seen[i] == i && sizes[i] == sizes[0]);
  check(members == int(seen.size()) * sizes[0]);
  check(members <= std::max(threads, 1));
#ifdef _OPENMP
  if (available_threads(threads) == threads) {
    check(int(seen.size()) == std::min(count, threads));
    check(sizes[0] == threads / std::min(count, threads));
  }
#else
  check(members == 1);
#endif
}

void check_failing_teams(int count, int threads) {
  for (int failing = 0; failing < count; ++failing) {
    std::atomic<int> called{0}, failed{0};
    bool thrown = false;
    try {
      with_teams(count, threads, [&](int index, Team&) {
        ++called;
        if (index != failing) return;
        ++failed;
        throw std::runtime_error("a reason");
      });
    } catch (const std::runtime_error&) {
      thrown = true;
    }
    check(called > 0 && thrown == (failed == 1));
  }
}

// Within a region there is one thread alone, so that teams don't multiply.
void check_nested() {
  with_teams(2, 2, [&](int, Team&) {
    if (available_threads(2) == 2) return;  // there was no second thread
    int inner = 0;
    with_teams(2, 2, [&](int, Team& team) { inner += team.size(); });
    check(inner == 1);
  });
}

// The thread that made it asks, with the share that all have done, and all see the answer.
void check_stop(int size) {
  int asked = 0;
  double share = -1;
  Stop stop(
      [&](double done) {
        ++asked;
        share = done;
        return true;
      },
      4 * size, true);
  with_team(size, [&](Team& team) {
    team.run([&](Team::Member member) {
      stop.advance(1);
      if (member.index > 0) check(!stop.poll());  // asks nobody
    });
    check(asked == 0 && !stop.requested());
    check(stop.poll() && asked == 1 && share == 0.25);
    team.run([&](Team::Member) { check(stop.requested()); });
    check(stop.poll());
  });
  Stop unasked(nullptr);
  check(!unasked.poll() && !Stop::never().poll());
  unasked.request();
  check(unasked.poll() && !Stop::never().poll());
}

}  // namespace

int main() {
  for (int size = 1; size <= 5; ++size) {
    check_shares(size);
    check_bodies(size);
    check_meetings(size);
    check_failures(size);
    check_stop(size);
  }
  for (const int count : {1, 2, 3}) {
    for (const int threads : {0, 1, 2, 3, 4}) {
      check_teams(count, threads);
      check_failing_teams(count, threads);
    }
  }
  check_nested();
  return status();
}
