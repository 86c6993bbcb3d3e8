// Gradient flow with adaptive steps (dopri5): a pass of the loop tries one step of every lane.
//
// Along the flow dR/dt = -|grad R|^2: the risk cannot rise. Tolerances that are loose beside a
// stiff start would let it, step by step, up to where it overflows. So a step is too long too where
// it ends above twice the lowest excess so far, and above what is noise at a minimizer. Where steps
// end too high again and again, and none lowers the excess, that is rounding: noise, from there on.
#pragma once

#include "run/run_loop.hpp"

namespace deeplinear {

template <class Stages>
class AdaptiveSteps : Ensemble<Stages> {
  using Base = Ensemble<Stages>;
  using Base::lanes_;
  using Base::stages_;
  using typename Base::Lane;
  using typename Base::P;
  using typename Base::RiskValues;
  using typename Base::Scalar;
  static constexpr int last_stage = tableaus::dopri5.stages - 1;

 public:
  template <class... Arguments>
  explicit AdaptiveSteps(const Problem& problem, const Plan& plan, Arguments&&... arguments)
      : Base(problem, plan, tableaus::dopri5, arguments...),
        plan_(std::get<Adaptive>(plan.steps)),
        noise_(largest_noise(problem)) {}

  using Base::recorder;

  void run() {
    P fresh = zero<P>();
    for (int i = 0; i < Base::lanes; ++i) fresh.set_lane(i, Scalar(start(i)));
    while (Base::any_running()) {
      while (any(zero<P>() < fresh)) fresh = begin(fresh);
      if (!Base::any_running()) return;
      if (Base::stop_requested([&](const Lane& lane) { return lane.time / plan_.time; })) {
        return Base::abandon();
      }
      fresh = try_step();
    }
  }

 private:
  bool start(int i) {
    const bool started = Base::start(i);
    Lane& lane = lanes_[i];
    lane.step = started ? plan_.first_step[lane.run] : 0;
    // No step is short enough for an error below rounding.
    const double smallest = std::numeric_limits<Scalar>::epsilon();
    rtol_.set_lane(i, Scalar(started ? std::max(plan_.rtol[lane.run], smallest) : 1));
    atol_.set_lane(i, Scalar(started ? plan_.atol[lane.run] : 1));
    return started;
  }

  // Stage 0 and the record at time 0 of the lanes that took a run; returns those that took yet
  // another.
  P begin(P fresh) {
    const P excess = stages_.evaluate_at(Base::W(), last_stage);
    stages_.take_over(last_stage, zero<P>() < fresh);
    const RiskValues values = Base::risk_values(excess);
    P again = zero<P>();
    for (int i = 0; i < Base::lanes; ++i) {
      if (fresh.lane(i) == 0) continue;
      Status status = Base::status_of(i, excess.lane(i));
      if (Base::has_values(status)) status = Base::record(i, 0, values, status);
      lanes_[i].next = 1;
      lanes_[i].lowest = excess.lane(i);
      forget_rises(lanes_[i], lanes_[i].lowest);
      lanes_[i].noise = noise_ > 0 ? noise_ : relative_noise * lanes_[i].lowest;
      if (status == Status::completed && lanes_[i].time < plan_.time) continue;
      again.set_lane(i, Scalar(end(i, status, 0)));
    }
    return again;
  }

  // Returns the lanes that took another run.
  P try_step() {
    P h = zero<P>(), highest = zero<P>();
    bool arrives[Base::lanes] = {};
    for (int i = 0; i < Base::lanes; ++i) {
      const Lane& lane = lanes_[i];
      if (lane.run < 0) continue;
      const double rest = plan_.time - lane.time;
      // A rest that is hardly longer than the step is taken with it: no sliver is left over.
      arrives[i] = lane.step * (1 + 1e-10) >= rest;
      // A step of zero would be taken for ever.
      const double step = std::max(lane.step, double(std::numeric_limits<Scalar>::min()));
      h.set_lane(i, Scalar(arrives[i] ? rest : step));
      highest.set_lane(i, Scalar(std::max(2 * lane.lowest, lane.noise)));
    }
    P excess = zero<P>();
    for (int s = 1; s <= last_stage; ++s) {
      excess = stages_.evaluate(Base::W(), s, h);
      if (Base::stop_between_stages()) return zero<P>();
    }
    const RiskValues values = Base::risk_values(excess);
    const P error = stages_.squared_error(Base::W(), dopri5_error, h, rtol_, atol_);
    const Mask<P> exact = (error <= P(Scalar(1))) & finite(excess) & Base::running();
    const Mask<P> good = exact & (excess <= highest);
    const P accepted = select(good, P(Scalar(1)), zero<P>());
    for (int i = 0; i < Base::lanes; ++i) {
      if (accepted.lane(i) > 0) advance(i, h.lane(i), arrives[i]);
    }
    stages_.advance(Base::W(), h, good);
    stages_.take_over(last_stage, good);
    P fresh = zero<P>();
    const P risen = select(exact, P(Scalar(1)), zero<P>()) - accepted;
    for (int i = 0; i < Base::lanes; ++i) {
      if (lanes_[i].run < 0) continue;
      choose_step(lanes_[i], h.lane(i), error.lane(i), accepted.lane(i) > 0);
      fresh.set_lane(i, Scalar(settle(i, accepted.lane(i) > 0, risen.lane(i) > 0, values)));
    }
    return fresh;
  }

  // The time of the lane after an accepted step, and the records on the way by dense output, before
  // W moves.
  void advance(int i, double h, bool arrives) {
    Lane& lane = lanes_[i];
    const double before = lane.time;
    lane.time = arrives ? plan_.time : before + h;
    ++lane.steps;
    for (; lane.next < Base::last_slot_; ++lane.next) {
      const double time = double(lane.next) * plan_.every;
      if (time > lane.time) break;
      auto weights = dopri5_dense_weights((time - before) / (lane.time - before));
      for (double& weight : weights) weight *= -h;
      Base::record_between(i, lane.next, Base::lane_weights_.of_lane(stages_, i, weights));
    }
  }

  // Proportional-integral control of Hairer, Norsett and Wanner (IV.2, beta = 0.04), which rejects
  // fewer steps at the edge of stability: h err^-0.17 err_before^0.04, safety 0.9, factor between
  // 0.2 and 10, no growth after a rejection; 0.2 where the error says nothing against the step.
  static void choose_step(Lane& lane, double taken, double squared_error, bool accepted) {
    double factor = 0.2;
    if (accepted || (std::isfinite(squared_error) && squared_error > 1)) {
      const double log_error = 0.5 * std::log(std::max(squared_error, 1e-16));
      factor =
          0.9 * std::exp(accepted ? 0.04 * lane.log_error - 0.17 * log_error : -0.2 * log_error);
      factor = std::clamp(factor, 0.2, accepted && !lane.rejected ? 10.0 : 1.0);
      if (accepted) lane.log_error = std::max(log_error, Base::smallest_log_error);
    }
    lane.rejected = !accepted;
    lane.step = taken * factor;
  }

  // Ends the run of a lane that has arrived, converged, or can't go on; true where it took another.
  bool settle(int i, bool accepted, bool risen, const RiskValues& values) {
    Lane& lane = lanes_[i];
    if (accepted) {
      const double excess = values.excess.lane(i);
      lane.lowest = std::min(lane.lowest, excess);
      const double fall = lane.fallen_to - excess;
      if (fall > progress * std::abs(lane.fallen_to)) forget_rises(lane, excess);
      const Status status = Base::status_of(i, excess);
      if (status != Status::completed || !(lane.time < plan_.time)) {
        const std::int64_t slot = lane.time < plan_.time ? lane.next : Base::last_slot_;
        return end(i, Base::record(i, slot, values, status), slot);
      }
    } else if (!risen && lane.step < shortest(lane)) {
      return end(i, lane.steps == 0 ? Status::diverged : Status::stiff, lane.next);
    }
    // The first step was a guess.
    if (risen && lane.steps > 0) count_rise(lane, double(values.excess.lane(i)));
    return ++lane.tries >= plan_.max_steps[lane.run] && end(i, Status::max_steps, lane.next);
  }

  static void forget_rises(Lane& lane, double excess) {
    lane.fallen_to = excess;
    lane.rises = 0;
    lane.lowest_rise = std::numeric_limits<double>::infinity();
  }

  static void count_rise(Lane& lane, double excess) {
    constexpr int most = 20;
    lane.lowest_rise = std::min(lane.lowest_rise, excess);
    if (++lane.rises < most) return;
    lane.noise = std::max(lane.noise, 2 * lane.lowest_rise);
    forget_rises(lane, lane.fallen_to);
  }

  // Below it a step would not change the time. At the start any step does, and where none is short
  // enough the gradient overflows.
  static double shortest(const Lane& lane) {
    return std::max(16 * std::numeric_limits<double>::epsilon() * lane.time,
                    double(std::numeric_limits<Scalar>::min()));
  }

  bool end(int i, Status status, std::int64_t slot) {
    if (status == Status::converged) Base::recorder_.carry_forward(lanes_[i].run, slot);
    Base::finish(i, status);
    return start(i);
  }

  // Of the excess risk about a minimizer, by ordinary tolerances and by rounding, beside that of
  // the zero map
  static double largest_noise(const Problem& problem) {
    const double risk = risk_of_zero(problem);
    const auto rounding = double(std::numeric_limits<Scalar>::epsilon());
    return std::max(relative_noise * (risk - problem.risk.minimum), 64 * rounding * risk);
  }

  static constexpr double relative_noise = 1e-6;
  static constexpr double progress = 1e-3;

  const Adaptive& plan_;
  P rtol_ = zero<P>(), atol_ = zero<P>();
  const double noise_;  // 0 where there is nothing to fit
};

}  // namespace deeplinear
