// The threads of a simulation, in teams that each have a group of lanes.
#pragma once

#include <atomic>
#include <chrono>
#include <mutex>
#include <stdexcept>
#include <thread>
#include <type_traits>

#include "blocks/block_gradient.hpp"
#include "lanes/lane_stages.hpp"
#include "rules/choice.hpp"
#include "run/adaptive_steps.hpp"
#include "run/fixed_steps.hpp"
#include "run/resident.hpp"
#include "threads/teams.hpp"
#include "wide/rules.hpp"

namespace deeplinear {

// Runs of a problem that take the same rule, and what becomes of them
template <class Scalar_>
struct Runs {
  using Scalar = Scalar_;
  const Problem& problem;
  const Plan& plan;
  Scalar* weights;
  const Records& records;
  Stop& stop;
  std::vector<std::int64_t> list = {};
  Outcome outcome = {};

  std::int64_t count() const { return std::int64_t(list.size()); }
};

// Of at most `useful` threads each
template <class Group, class Scalar>
void run_groups(Runs<Scalar>& runs, int useful) {
  Outcome& outcome = runs.outcome;
  Stop& stop = runs.stop;
  RunQueue queue(runs.list);
  std::mutex mutex;
  const int teams = int(std::min<std::int64_t>(runs.plan.threads, runs.count()));
  const int threads = std::min(runs.plan.threads, teams * useful);
  std::atomic<int> working{0};
  with_teams(teams, threads, [&](int index, Team& team) {
    ++working;
    std::exception_ptr failure;
    try {
      Group group(runs.problem, runs.plan, team, runs.weights, runs.records, outcome, queue, stop);
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
}

// Calls run(RuleTag<R>, runs) for the runs of each rule, where there are any.
template <class Scalar, class Run>
Outcome by_rule(const Problem& problem, const Plan& plan, Scalar* weights, const Records& records,
                Stop& stop, Run run) {
  Runs<Scalar> runs{problem, plan, weights, records, stop};
  runs.outcome.status.assign(plan.runs, Status::unfinished);
  runs.outcome.last_step.assign(plan.runs, 0);
  runs.outcome.out_of_range.assign(plan.runs, 0);
  runs.outcome.accuracies.resize(records.list.size());
  runs.outcome.states.resize(plan.runs);
  const auto* fixed = std::get_if<Fixed>(&plan.steps);
  int place = 0;
  for_each_rule([&](auto rule) {
    runs.list.clear();
    for (std::int64_t i = 0; i < plan.runs; ++i) {
      if ((fixed ? rule_of(fixed->rule(i)) : 0) == place) runs.list.push_back(i);
    }
    ++place;
    if (runs.count() > 0 && !stop.requested()) run(rule, runs);
  });
  runs.outcome.interrupted = stop.requested();
  return std::move(runs.outcome);
}

template <class P, class R, class Numbers>
using Chains = ChainStages<P, R, Numbers>;
template <class P, class R, class Numbers>
using BySamples = SampleStages<P, R, Numbers>;

template <template <class, class, class> class Kernel, template <class> class R, int Lanes,
          class Scalar>
void run_packs(Runs<Scalar>& runs) {
  using P = Pack<Scalar, Lanes>;
  using Stages = LaneStages<Kernel<P, R<P>, P*>>;
  // Adaptive runs take different numbers of steps: with two registers more lanes would wait for the
  // last one.
  if constexpr (Lanes <= native_lanes<Scalar> && R<P>::arrays == 0) {
    if (runs.plan.adaptive()) return run_groups<AdaptiveSteps<Stages>>(runs, 1);
  }
  run_groups<FixedSteps<Stages>>(runs, 1);
}

// One network through products with blocks of samples, whose threads share them: the bits of a lane
template <template <class> class R, class Scalar>
void run_blocks(Runs<Scalar>& runs) {
  using P = Pack<Scalar, 1>;
  using Stages = LaneStages<SampleStages<P, R<P>, P*, BlockGradient<P, P*>>>;
  const int useful = most_useful_threads(runs.problem);
  if constexpr (R<P>::arrays == 0) {
    if (runs.plan.adaptive()) return run_groups<AdaptiveSteps<Stages>>(runs, useful);
  }
  run_groups<FixedSteps<Stages>>(runs, useful);
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

inline std::ptrdiff_t lanes_state_size(const Problem& problem, const Fixed& plan, std::int64_t run,
                                       std::int64_t steps) {
  std::ptrdiff_t size = 0;
  with_rule(plan.rule(run), [&]<template <class> class R>(RuleTag<R>) {
    using P = Pack<double, 1>;
    using Stages = LaneStages<ChainStages<P, R<P>>>;
    size = Stages::state_size(problem.net, *plan.method->tableau, steps);
  });
  return size;
}

// One run after another, or several at once, each to a team of threads
template <class Scalar>
Outcome run_wide(const Problem& problem, const Plan& plan, Scalar* weights, const Records& records,
                 Stop& stop) {
  const int useful = WideChain<Scalar>::most_useful_threads(problem.net);
  const auto run = [&]<template <class> class R>(RuleTag<R>, Runs<Scalar>& runs) {
    if (problem.by_samples()) return run_blocks<R>(runs);
    using Stages = typename WideStagesOf<R<Pack<Scalar, 1>>>::type;
    if constexpr (std::is_void_v<Stages>) {
      throw std::invalid_argument(
          "engine must be 'ensemble' for this rule; 'wide' has no steps of it.");
    } else {
      if constexpr (R<Pack<Scalar, 1>>::arrays == 0) {
        if (plan.adaptive()) return run_groups<AdaptiveSteps<Stages>>(runs, useful);
      }
      run_groups<FixedSteps<Stages>>(runs, useful);
    }
  };
  return by_rule(problem, plan, weights, records, stop, run);
}

template <class Scalar>
std::ptrdiff_t wide_state_size(const Problem& problem, const Fixed& plan, std::int64_t run,
                               std::int64_t steps) {
  if (problem.by_samples()) return lanes_state_size(problem, plan, run, steps);
  std::ptrdiff_t size = 0;
  with_rule(plan.rule(run), [&]<template <class> class R>(RuleTag<R>) {
    using Stages = typename WideStagesOf<R<Pack<Scalar, 1>>>::type;
    if constexpr (!std::is_void_v<Stages>) {
      size = Stages::state_size(problem.net, *plan.method->tableau, steps);
    }
  });
  return size;
}

// As many lanes as are fast for the runs. Rules that keep numbers of their own have a register of
// lanes, or one: with two, their numbers beside the weights leave the first-level cache, and half a
// register would take as long to compile again.
template <template <class> class R, class Scalar>
void run_lanes_of(Runs<Scalar>& runs) {
  constexpr bool plain = R<Pack<Scalar, 1>>::arrays == 0;
  constexpr int native = native_lanes<Scalar>, wide = registers_per_pack * native,
                half = plain ? native / packs_per_register : native;
  const Problem& problem = runs.problem;
  const int threads = runs.plan.threads;
  // Alone on its thread a run gains nothing from idle lanes beside it, which cost memory; and twice
  // as many threads have work where half a register of runs each is enough.
  const bool alone = runs.count() <= threads, few = runs.count() <= std::int64_t(threads) * half;
  const auto fits_first_level = [](std::ptrdiff_t numbers) {
    return numbers * std::ptrdiff_t(sizeof(Scalar)) <= Eigen::l1CacheSize();
  };
  if (problem.by_samples()) {
    if (alone) return run_blocks<R>(runs);
    // W, G, a_k and s'(z_k)
    const auto numbers = 2 * (problem.net.parameters + problem.net.coordinates * samples_at_once);
    if (few || !fits_first_level(numbers * native)) return run_packs<BySamples, R, half>(runs);
    return run_packs<BySamples, R, native>(runs);
  }
  if (alone) return run_packs<Chains, R, 1>(runs);
  // Beyond the first-level cache its bandwidth is the limit, and more lanes only take more of it.
  // Far beyond, a larger part of the runs of half a register stays there.
  const auto numbers = problem.net.parameters + 2 * problem.net.coordinates;
  if (few || !fits_first_level(numbers * native / 3)) return run_packs<Chains, R, half>(runs);
  if constexpr (plain) {
    if (fits_first_level(numbers * wide) && !runs.plan.adaptive() &&
        runs.count() > std::int64_t(threads) * native) {
      return run_packs<Chains, R, wide>(runs);
    }
  }
  return run_packs<Chains, R, native>(runs);
}

// A SIMD lane per run
template <class Scalar>
Outcome run_lanes(const Problem& problem, const Plan& plan, Scalar* weights, const Records& records,
                  Stop& stop) {
  const auto run = []<template <class> class R>(RuleTag<R>, Runs<Scalar>& runs) {
    run_lanes_of<R>(runs);
  };
  return by_rule(problem, plan, weights, records, stop, run);
}

// On a device: a thread of it per run
template <class Scalar>
Outcome run_resident(const Problem& problem, const Plan& plan, Scalar* weights,
                     const Records& records, Stop& stop) {
  const auto run = []<template <class> class R>(RuleTag<R>, Runs<Scalar>& runs) {
    using P = Pack<Scalar, 1>;
    const auto with = [&]<class Kernel, class Stages>(Kernel*, Stages*) {
      if constexpr (Stages::rule_arrays == 0) {
        if (runs.plan.adaptive()) {
          return run_groups<ResidentRuns<Kernel, AdaptiveSteps<Stages>, true>>(runs, 1);
        }
      }
      run_groups<ResidentRuns<Kernel, FixedSteps<Stages>, false>>(runs, 1);
    };
    if (runs.problem.by_samples()) {
      using Stages = LaneStages<SampleStages<P, R<P>>>;
      return with(static_cast<SampleKernel<Scalar, R>*>(nullptr), static_cast<Stages*>(nullptr));
    }
    using Stages = LaneStages<ChainStages<P, R<P>>>;
    with(static_cast<ChainKernel<Scalar, R>*>(nullptr), static_cast<Stages*>(nullptr));
  };
  return by_rule(problem, plan, weights, records, stop, run);
}

template <class Scalar>
Outcome run_emulated(const Problem& problem, const Plan& plan, Scalar* weights,
                     const Records& records, Stop& stop) {
  Plan emulated = plan;
  emulated.device = &emulated_device();
  return run_resident(problem, emulated, weights, records, stop);
}

extern template Outcome run_wide<float>(const Problem&, const Plan&, float*, const Records&, Stop&);
extern template Outcome run_wide<double>(const Problem&, const Plan&, double*, const Records&,
                                         Stop&);
extern template Outcome run_lanes<float>(const Problem&, const Plan&, float*, const Records&,
                                         Stop&);
extern template Outcome run_lanes<double>(const Problem&, const Plan&, double*, const Records&,
                                          Stop&);
extern template Outcome run_resident<float>(const Problem&, const Plan&, float*, const Records&,
                                            Stop&);
extern template Outcome run_resident<double>(const Problem&, const Plan&, double*, const Records&,
                                             Stop&);

}  // namespace deeplinear
