// The threads of a simulation, in teams that each have a group of lanes.
#pragma once

#include <atomic>
#include <chrono>
#include <mutex>
#include <thread>

#include "lanes/chain_stages.hpp"
#include "lanes/sample_stages.hpp"
#include "run/adaptive_steps.hpp"
#include "run/fixed_steps.hpp"
#include "threads/teams.hpp"
#include "wide/stages.hpp"

namespace deeplinear {

// Of at most `useful` threads each
template <class Group, class Scalar>
Outcome run_groups(const Problem& problem, const Plan& plan, Scalar* weights,
                   const Records& records, Stop& stop, int useful) {
  Outcome outcome;
  outcome.status.assign(plan.runs, Status::unfinished);
  outcome.last_step.assign(plan.runs, 0);
  outcome.out_of_range.assign(plan.runs, 0);
  outcome.accuracies.resize(records.list.size());
  RunQueue queue(plan.runs);
  std::mutex mutex;
  const int teams = int(std::min<std::int64_t>(plan.threads, plan.runs));
  const int threads = std::min(plan.threads, teams * useful);
  std::atomic<int> working{0};
  with_teams(teams, threads, [&](int index, Team& team) {
    ++working;
    std::exception_ptr failure;
    try {
      Group group(problem, plan, team, weights, records, outcome, queue, stop);
      group.run();
      const std::lock_guard lock(mutex);
      const auto& found = group.recorder().accuracies();
      for (std::size_t i = 0; i < found.size(); ++i) {
        Accuracy& all = outcome.accuracies[i];
        all.residual = std::max(all.residual, found[i].residual);
        all.unconverged += found[i].unconverged;
      }
    } catch (...) {
      failure = std::current_exception();
      stop.request();
    }
    --working;
    // The calling thread answers for the others until they are done.
    while (index == 0 && working > 0) {
      stop.poll();
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    if (failure) std::rethrow_exception(failure);
  });
  outcome.interrupted = stop.requested();
  return outcome;
}

template <template <class> class Stages, int Lanes, class Scalar>
Outcome run_packs(const Problem& problem, const Plan& plan, Scalar* weights, const Records& records,
                  Stop& stop) {
  using P = Pack<Scalar, Lanes>;
  // Adaptive runs take different numbers of steps: with two registers more lanes would wait for the
  // last one.
  if constexpr (Lanes <= native_lanes<Scalar>) {
    if (plan.adaptive()) {
      return run_groups<AdaptiveSteps<Stages<P>>>(problem, plan, weights, records, stop, 1);
    }
  }
  return run_groups<FixedSteps<Stages<P>>>(problem, plan, weights, records, stop, 1);
}

// Two registers of runs hide the latency of sums from layer to layer, where there are 32 registers
// to hold them.
#if defined(__AVX512F__) || defined(__aarch64__)
inline constexpr int registers_per_pack = 2;
#else
inline constexpr int registers_per_pack = 1;
#endif

// Half a register of runs computes as fast on many processors, and takes half the memory.
#if defined(__AVX512F__)
inline constexpr int packs_per_register = 2;
#else
inline constexpr int packs_per_register = 1;
#endif

// One run after another, or several at once, each to a team of threads
template <class Scalar>
Outcome run_wide(const Problem& problem, const Plan& plan, Scalar* weights, const Records& records,
                 Stop& stop) {
  const int useful = WideChain<Scalar>::most_useful_threads(problem.net);
  if (plan.adaptive()) {
    return run_groups<AdaptiveSteps<WideStages<Scalar>>>(problem, plan, weights, records, stop,
                                                         useful);
  }
  return run_groups<FixedSteps<WideStages<Scalar>>>(problem, plan, weights, records, stop, useful);
}

// A SIMD lane per run
template <class Scalar>
Outcome run_lanes(const Problem& problem, const Plan& plan, Scalar* weights, const Records& records,
                  Stop& stop) {
  constexpr int native = native_lanes<Scalar>, wide = registers_per_pack * native,
                half = native / packs_per_register;
  // Alone on its thread a run gains nothing from idle lanes beside it, which cost memory; and twice
  // as many threads have work where half a register of runs each is enough.
  const bool alone = plan.runs <= plan.threads,
             few = plan.runs <= std::int64_t(plan.threads) * half;
  const auto fits_first_level = [](std::ptrdiff_t numbers) {
    return numbers * std::ptrdiff_t(sizeof(Scalar)) <= Eigen::l1CacheSize();
  };
  if (problem.by_samples()) {
    if (alone) return run_packs<SampleStages, 1>(problem, plan, weights, records, stop);
    const auto numbers = SampleGradient<Pack<Scalar, 1>>::numbers(problem.net);
    if (few || !fits_first_level(numbers * native)) {
      return run_packs<SampleStages, half>(problem, plan, weights, records, stop);
    }
    return run_packs<SampleStages, native>(problem, plan, weights, records, stop);
  }
  if (alone) return run_packs<ChainStages, 1>(problem, plan, weights, records, stop);
  // Beyond the first-level cache its bandwidth is the limit, and more lanes only take more of it.
  // Far beyond, a larger part of the runs of half a register stays there.
  const auto numbers = problem.net.parameters + 2 * problem.net.coordinates;
  if (few || !fits_first_level(numbers * native / 3)) {
    return run_packs<ChainStages, half>(problem, plan, weights, records, stop);
  }
  if (fits_first_level(numbers * wide) && !plan.adaptive() &&
      plan.runs > std::int64_t(plan.threads) * native) {
    return run_packs<ChainStages, wide>(problem, plan, weights, records, stop);
  }
  return run_packs<ChainStages, native>(problem, plan, weights, records, stop);
}

extern template Outcome run_wide<float>(const Problem&, const Plan&, float*, const Records&, Stop&);
extern template Outcome run_wide<double>(const Problem&, const Plan&, double*, const Records&,
                                         Stop&);
extern template Outcome run_lanes<float>(const Problem&, const Plan&, float*, const Records&,
                                         Stop&);
extern template Outcome run_lanes<double>(const Problem&, const Plan&, double*, const Records&,
                                          Stop&);

}  // namespace deeplinear
