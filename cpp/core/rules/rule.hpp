// Rules: what the gradient K does to the weights in a step.
//
// A rule moves one weight at a time, of every run of a pack, and knows nothing of where K comes
// from: an entry of K is a x, with x = v_j and a = u_i where K is an outer product, and a = 1 where
// it has been formed.
#pragma once

#include <concepts>
#include <cstdint>

#include "model/layout.hpp"
#include "scheme/tableau.hpp"

namespace deeplinear {

// What a rule is told of a run, beside the size of the step
struct RuleSettings {
  double momentum = 0, weight_decay = 0;
  bool nesterov = false;

  // Which rule it takes depends on a run's own numbers alone: its bits don't change with the runs
  // beside it.
  enum Kind { descent, heavy_ball, general };
  Kind kind() const {
    if (nesterov || weight_decay != 0) return general;
    return momentum != 0 ? heavy_ball : descent;
  }
};

// arrays       how many numbers per weight a run keeps from one step to the next
// start        gives the lane to a run; `from` are the numbers that it kept, null at its start
// store        `to` = the numbers that the run of the lane keeps
// step(W, h)   the step from the weights W: move(w, move.row(a), x) moves the weight w of W
// Guard        an object of it lives as long as weights are moved
template <class R>
concept Rule = requires(R& rule, const R& kept, typename R::P* W, typename R::P x, int lane,
                        const RuleSettings& settings, const typename R::P::Scalar* from,
                        typename R::P::Scalar* to) {
  { R::arrays } -> std::convertible_to<int>;
  rule.start(lane, settings, from);
  kept.store(lane, to);
  rule.step(W, x)(*W, rule.step(W, x).row(x), x);
  typename R::Guard;
};

// Stages whose descend takes steps of a rule.
//
// begin         gives the lane to a run with steps of size h, which goes on after so many steps
//               where there is a state, and is at its start where that is null
// state_size    how many numbers a run keeps beside its weights after so many steps: with them it
//               goes on to the bit as if it had not stopped
// store_state   those numbers of the run of the lane; before its weights are settled
template <class S>
concept RuledStages =
    requires(S& stages, typename S::P* W, int lane, const RuleSettings& settings, double h,
             std::int64_t steps, const typename S::P::Scalar* state, typename S::P::Scalar* to,
             const Layout& net, const Tableau& tableau) {
      { S::rule_arrays } -> std::convertible_to<int>;
      stages.begin(W, lane, settings, h, steps, state);
      { S::state_size(net, tableau, steps) } -> std::convertible_to<std::ptrdiff_t>;
      stages.store_state(W, lane, to);
    };

}  // namespace deeplinear
