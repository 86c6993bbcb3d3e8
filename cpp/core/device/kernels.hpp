// Kernels: a thread advances the run of a slot until somebody has to look at it. It stops before
// the step, or the try, that a record, an end or another surprise is part of: that one is the
// host's, by the code of every other engine.
#pragma once

#include "device/task.hpp"
#include "lanes/chain_stages.hpp"
#include "lanes/sample_stages.hpp"
#include "scheme/steps.hpp"

namespace deeplinear {

// The rule of a kernel. A heavy ball has that of the general form, whose further terms are zero
// then: a kernel takes half a minute to compile.
template <class R>
struct KernelRule {
  using type = R;
};
template <class P>
struct KernelRule<MomentumOf<P, false>> {
  using type = MomentumOf<P, true>;
};

// The stages of a kernel, by the kind of network and the rule
template <class Scalar, template <class> class R>
using ChainKernel = ChainStages<Pack<Scalar, 1>, typename KernelRule<R<Pack<Scalar, 1>>>::type,
                                Column<Scalar, slots_per_block>, true>;
template <class Scalar, template <class> class R>
using SampleKernel = SampleStages<Pack<Scalar, 1>, typename KernelRule<R<Pack<Scalar, 1>>>::type,
                                  Column<Scalar, slots_per_block>>;

// How many numbers of a run a kernel computes with
template <class Stages>
constexpr Index numbers_of(const typename Stages::Data& problem, const Tableau& tableau) {
  return problem.net.parameters + Stages::numbers(problem, tableau);
}

// How many of them stay from one launch to the next
template <class Stages>
constexpr Index image_of(const typename Stages::Data& problem, bool adaptive) {
  return (1 + Stages::rule_arrays) * problem.net.parameters +
         (adaptive ? Stages::carried(problem) : 0);
}

namespace detail {

template <class Numbers>
constexpr void copy(Index count, Numbers from, Numbers to) {
  for (Index n = 0; n < count; ++n) to[n] = from[n];
}

}  // namespace detail

// The run of a slot, whose numbers are at W; returns how many steps it took. It is a part of its
// kernel, which alone knows in what memory they are.
template <class Stages>
[[gnu::always_inline]] constexpr SlotCount take_fixed_steps(const Task<typename Stages::Data>& task,
                                                            SlotCount slot,
                                                            typename Stages::Numbers W) {
  using P = typename Stages::P;
  using Scalar = typename P::Scalar;
  using R = typename Stages::RuleOf;
  Stages stages(task.problem, task.tableau, W + task.problem.net.parameters);
  Scalar rule[R::numbers + 1];
  for (int i = 0; i < R::numbers; ++i) {
    rule[i] = task.rule[i * task.blocks * slots_per_block + slot];
  }
  stages.rule().start(0, rule);
  const P h(task.step[slot]), threshold(task.threshold);
  const Mask<P> always = zero<P>() < P(Scalar(1));
  const SlotCount most = task.allowance[slot];
  SlotCount taken = 0;
  for (; taken < most; ++taken) {
    const P excess = stages.start(W);
    if (any((excess <= threshold) | !finite(excess))) break;
    take_step(stages, W, h, always, [] { return false; });
  }
  return taken;
}

// The same for adaptive steps; returns how many it tried.
template <class Stages>
[[gnu::always_inline]] constexpr SlotCount take_adaptive_steps(
    const Task<typename Stages::Data>& task, SlotCount slot, typename Stages::Numbers W) {
  using P = typename Stages::P;
  using Scalar = typename P::Scalar;
  constexpr int last = tableaus::dopri5.stages - 1;
  Stages stages(task.problem, task.tableau, W + task.problem.net.parameters);
  const P rtol(task.rtol[slot]), atol(task.atol[slot]), threshold(task.threshold), one(Scalar(1));
  const SlotCount most = task.allowance[slot];
  StepControl control = task.control[slot];
  SlotCount tried = 0;
  for (; tried < most; ++tried) {
    const P h(control.length<Scalar>(task.end)), highest(Scalar(control.highest()));
    P excess = zero<P>();
    for (int s = 1; s <= last; ++s) excess = stages.evaluate(W, s, h);
    const P error = stages.squared_error(W, h, rtol, atol);
    const bool exact = any((error <= one) & finite(excess));
    const bool good = exact && any(excess <= highest);
    StepControl next = control;
    if (good) next.advance(h.part[0], task.end);
    next.choose_step(h.part[0], error.part[0], good);
    ++next.tries;
    const bool recorded =
        good && next.next < task.last_record && double(next.next) * task.every <= next.time;
    const bool arrived = good && (!(next.time < task.end) || any(excess <= threshold));
    const bool stuck = !exact && next.too_short<Scalar>();
    if (recorded || arrived || stuck || next.tries >= task.max_tries[slot]) break;
    if (good) {
      next.note_excess(excess.part[0]);
      const Mask<P> always = zero<P>() < one;
      stages.advance(W, h, always);
      stages.take_over(last, always);
    } else if (exact) {
      next.note_rise(excess.part[0]);
    }
    control = next;
  }
  task.control[slot] = control;
  return tried;
}

// A thread's part of a launch: `memory` is that of its block, (numbers, 32).
template <class Stages, bool Adaptive>
[[gnu::always_inline]] constexpr void run_slot(const Task<typename Stages::Data>& task,
                                               SlotCount block, int place,
                                               typename Stages::Scalar* memory) {
  using Numbers = typename Stages::Numbers;
  const SlotCount slot = block * slots_per_block + place;
  if (task.allowance[slot] == 0) return;
  const Numbers W(memory + place), image = task.image_of(block, place);
  detail::copy(task.image, image, W);
  if constexpr (Adaptive) {
    task.taken[slot] = take_adaptive_steps<Stages>(task, slot, W);
  } else {
    task.taken[slot] = take_fixed_steps<Stages>(task, slot, W);
  }
  detail::copy(task.image, W, image);
}

}  // namespace deeplinear
