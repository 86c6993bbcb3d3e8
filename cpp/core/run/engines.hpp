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

template <class Group, class Scalar>
Outcome run_groups(const Problem& problem, const Plan& plan, Scalar* weights,
                   const Records& records, const Monitor& monitor) {
  Outcome outcome;
  outcome.status.assign(plan.runs, Status::unfinished);
  outcome.last_step.assign(plan.runs, 0);
  outcome.out_of_range.assign(plan.runs, 0);
  Coordination shared(plan.runs, monitor);
  std::mutex mutex;
  const int teams = int(std::min<std::int64_t>(plan.threads, plan.runs));
  const int useful = plan.wide ? WideChain<Scalar>::most_useful_threads(problem.net) : 1;
  const int threads = std::min(plan.threads, teams * useful);
  std::atomic<int> working{0};
  with_teams(teams, threads, [&](int index, Team& team) {
    ++working;
    std::exception_ptr failure;
    try {
      Group group(problem, plan, team, weights, records, outcome, shared, index == 0);
      group.run();
      const std::lock_guard lock(mutex);
      const auto& recorder = group.recorder();
      outcome.sharpness_residual =
          std::max(outcome.sharpness_residual, recorder.largest_residual());
      outcome.unconverged += recorder.unconverged();
    } catch (...) {
      failure = std::current_exception();
      shared.stop();
    }
    --working;
    // The calling thread answers for the others until they are done.
    while (index == 0 && working > 0) {
      shared.poll(true);
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    if (failure) std::rethrow_exception(failure);
  });
  outcome.interrupted = shared.stopped();
  return outcome;
}

template <template <class> class Stages, int Lanes, class Scalar>
Outcome run_lanes(const Problem& problem, const Plan& plan, Scalar* weights, const Records& records,
                  const Monitor& monitor) {
  using P = Pack<Scalar, Lanes>;
  // Adaptive runs take different numbers of steps: with two registers more lanes would wait for the
  // last one.
  if constexpr (Lanes <= native_lanes<Scalar>) {
    if (plan.method == Method::dopri5) {
      return run_groups<AdaptiveSteps<Stages<P>>>(problem, plan, weights, records, monitor);
    }
  }
  return run_groups<FixedSteps<Stages<P>>>(problem, plan, weights, records, monitor);
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

template <class Scalar>
Outcome simulate(const Problem& problem, const Plan& plan, Scalar* weights, const Records& records,
                 const Monitor& monitor) {
  if (plan.wide) {
    if (plan.method == Method::dopri5) {
      return run_groups<AdaptiveSteps<WideStages<Scalar>>>(problem, plan, weights, records,
                                                           monitor);
    }
    return run_groups<FixedSteps<WideStages<Scalar>>>(problem, plan, weights, records, monitor);
  }
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
    if (alone) return run_lanes<SampleStages, 1>(problem, plan, weights, records, monitor);
    const auto numbers = SampleGradient<Pack<Scalar, 1>>::numbers(problem.net);
    if (few || !fits_first_level(numbers * native)) {
      return run_lanes<SampleStages, half>(problem, plan, weights, records, monitor);
    }
    return run_lanes<SampleStages, native>(problem, plan, weights, records, monitor);
  }
  if (alone) return run_lanes<ChainStages, 1>(problem, plan, weights, records, monitor);
  // Beyond the first-level cache its bandwidth is the limit, and more lanes only take more of it.
  // Far beyond, a larger part of the runs of half a register stays there.
  const auto numbers = problem.net.parameters + 2 * problem.net.coordinates;
  if (few || !fits_first_level(numbers * native / 3)) {
    return run_lanes<ChainStages, half>(problem, plan, weights, records, monitor);
  }
  if (fits_first_level(numbers * wide) && plan.method != Method::dopri5 &&
      plan.runs > std::int64_t(plan.threads) * native) {
    return run_lanes<ChainStages, wide>(problem, plan, weights, records, monitor);
  }
  return run_lanes<ChainStages, native>(problem, plan, weights, records, monitor);
}

}  // namespace deeplinear
