// How a run with adaptive steps chooses them, and when a step is too long.
//
// Along the flow dR/dt = -|grad R|^2: the risk cannot rise. Tolerances that are loose beside a
// stiff start would let it, step by step, up to where it overflows. So a step is too long too where
// it ends above twice the lowest excess so far, and above what is noise at a minimizer. Where steps
// end too high again and again, and none lowers the excess, that is rounding: noise, from there on.
#pragma once

#include "simd/logarithm.hpp"

namespace deeplinear {

struct StepControl {
  // log2 of an error of 1e-4
  static constexpr double smallest_log_error = -9.2 * log2_e;
  static constexpr double relative_noise = 1e-6;

  Count steps = 0;  // taken
  Count tries = 0;
  Count next = 0;  // the place of the next record
  double time = 0;
  double step = 0;                        // the next to be tried
  double log_error = smallest_log_error;  // of the last accepted step
  double lowest = 0;                      // excess risk so far
  double noise = 0;                       // of the excess risk about a minimizer, at most
  // Since the excess risk last fell, to this:
  double fallen_to = 0;
  double lowest_rise = Precision<double>::infinity;
  int rises = 0;          // tries that ended too high, and the lowest of them
  bool rejected = false;  // the last try

  // From a record at the start; noise is 0 where there is nothing to fit.
  constexpr void start(double excess, double noise_) {
    next = 1;
    lowest = excess;
    forget_rises(excess);
    noise = noise_ > 0 ? noise_ : relative_noise * lowest;
  }

  // Whether the next try arrives at the end of time. A rest that is hardly longer than the step is
  // taken with it: no sliver is left over.
  constexpr bool arrives(double end) const { return step * (1 + 1e-10) >= end - time; }

  // The length of the next try. A step of zero would be taken for ever.
  template <class Scalar>
  constexpr Scalar length(double end) const {
    const double least = Precision<Scalar>::smallest;
    return Scalar(arrives(end) ? end - time : step < least ? least : step);
  }

  // The excess risk above which a step is too long
  constexpr double highest() const { return 2 * lowest < noise ? noise : 2 * lowest; }

  // An accepted step
  constexpr void advance(double length, double end) {
    time = arrives(end) ? end : time + length;
    ++steps;
  }

  // Proportional-integral control of Hairer, Norsett and Wanner (IV.2, beta = 0.04), which rejects
  // fewer steps at the edge of stability: h err^-0.17 err_before^0.04, safety 0.9, factor between
  // 0.2 and 10, no growth after a rejection; 0.2 where the error says nothing against the step.
  constexpr void choose_step(double taken, double squared_error, bool accepted) {
    double factor = 0.2;
    if (accepted || (squared_error > 1 && squared_error <= Precision<double>::largest)) {
      const double found = 0.5 * log2_of(squared_error < 1e-16 ? 1e-16 : squared_error);
      factor = 0.9 * exp2_of(accepted ? 0.04 * log_error - 0.17 * found : -0.2 * found);
      const double most = accepted && !rejected ? 10.0 : 1.0;
      factor = factor < 0.2 ? 0.2 : factor > most ? most : factor;
      if (accepted) log_error = found < smallest_log_error ? smallest_log_error : found;
    }
    rejected = !accepted;
    step = taken * factor;
  }

  // What an accepted step has done to the excess risk
  constexpr void note_excess(double excess) {
    constexpr double progress = 1e-3;
    if (excess < lowest) lowest = excess;
    const double size = fallen_to < 0 ? -fallen_to : fallen_to;
    if (fallen_to - excess > progress * size) forget_rises(excess);
  }

  // A try that ended too high; the first step was a guess.
  constexpr void note_rise(double excess) {
    constexpr int most = 20;
    if (steps == 0) return;
    if (excess < lowest_rise) lowest_rise = excess;
    if (++rises < most) return;
    if (noise < 2 * lowest_rise) noise = 2 * lowest_rise;
    forget_rises(fallen_to);
  }

  // Whether the next step would not change the time. At the start any step does, and where none is
  // short enough the gradient overflows.
  template <class Scalar>
  constexpr bool too_short() const {
    const double of_time = 16 * Precision<double>::epsilon * time;
    const double least = Precision<Scalar>::smallest;
    return step < (of_time < least ? least : of_time);
  }

 private:
  constexpr void forget_rises(double excess) {
    fallen_to = excess;
    rises = 0;
    lowest_rise = Precision<double>::infinity;
  }
};

}  // namespace deeplinear
