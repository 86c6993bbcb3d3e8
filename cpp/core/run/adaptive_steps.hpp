// Gradient flow with adaptive steps (dopri5): a pass of the loop tries one step of every lane.
#pragma once

#include "run/run_loop.hpp"

namespace deeplinear {

template <class Stages>
class AdaptiveSteps : protected Ensemble<Stages> {
  using Base = Ensemble<Stages>;

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
      begin_all(fresh);
      if (!Base::any_running()) return;
      if (Base::stop_requested([&](const Lane& lane) { return lane.time / plan_.time; })) {
        return Base::abandon();
      }
      fresh = try_step();
    }
  }

 protected:
  using Base::lanes_;
  using Base::stages_;
  using typename Base::Lane;
  using typename Base::P;
  using typename Base::RiskValues;
  using typename Base::Scalar;
  static constexpr int last_stage = tableaus::dopri5.stages - 1;

  bool start(int i) {
    const bool started = Base::start(i);
    if (started) lanes_[i].step = plan_.first_step[lanes_[i].run];
    take_tolerances(i);
    return started;
  }

  // Of the run of the lane
  void take_tolerances(int i) {
    const std::int64_t run = lanes_[i].run;
    rtol_.set_lane(i, run >= 0 ? rtol_of(run) : Scalar(1));
    atol_.set_lane(i, run >= 0 ? atol_of(run) : Scalar(1));
  }
  // No step is short enough for an error below rounding.
  Scalar rtol_of(std::int64_t run) const {
    return Scalar(std::max(plan_.rtol[run], double(std::numeric_limits<Scalar>::epsilon())));
  }
  Scalar atol_of(std::int64_t run) const { return Scalar(plan_.atol[run]); }

  // Of the lanes that took a run, until none has taken yet another
  void begin_all(P fresh) {
    while (any(zero<P>() < fresh)) fresh = begin(fresh);
  }

  // Returns the lanes that took another run.
  P try_step() {
    P h = zero<P>(), highest = zero<P>();
    for (int i = 0; i < Base::lanes; ++i) {
      const Lane& lane = lanes_[i];
      if (lane.run < 0) continue;
      h.set_lane(i, lane.template length<Scalar>(plan_.time));
      highest.set_lane(i, Scalar(lane.highest()));
    }
    P excess = zero<P>();
    for (int s = 1; s <= last_stage; ++s) {
      excess = stages_.evaluate(Base::W(), s, h);
      if (Base::stop_between_stages()) return zero<P>();
    }
    const RiskValues values = Base::risk_values(excess);
    const P error = stages_.squared_error(Base::W(), h, rtol_, atol_);
    const Mask<P> exact = (error <= P(Scalar(1))) & finite(excess) & Base::running();
    const Mask<P> good = exact & (excess <= highest);
    const P accepted = select(good, P(Scalar(1)), zero<P>());
    for (int i = 0; i < Base::lanes; ++i) {
      if (accepted.lane(i) > 0) advance(i, h.lane(i));
    }
    stages_.advance(Base::W(), h, good);
    stages_.take_over(last_stage, good);
    P fresh = zero<P>();
    const P risen = select(exact, P(Scalar(1)), zero<P>()) - accepted;
    for (int i = 0; i < Base::lanes; ++i) {
      if (lanes_[i].run < 0) continue;
      lanes_[i].choose_step(h.lane(i), error.lane(i), accepted.lane(i) > 0);
      fresh.set_lane(i, Scalar(settle(i, accepted.lane(i) > 0, risen.lane(i) > 0, values)));
    }
    return fresh;
  }

 private:
  // Stage 0 and the record at time 0 of the lanes that took a run; returns those that took yet
  // another.
  P begin(P fresh) {
    const P excess = stages_.evaluate_at(Base::W(), last_stage);
    if (Base::cut_short()) return zero<P>();
    stages_.take_over(last_stage, zero<P>() < fresh);
    const RiskValues values = Base::risk_values(excess);
    P again = zero<P>();
    for (int i = 0; i < Base::lanes; ++i) {
      if (fresh.lane(i) == 0) continue;
      Status status = Base::status_of(i, excess.lane(i));
      if (Base::has_values(status)) status = Base::record(i, 0, values, status);
      lanes_[i].StepControl::start(excess.lane(i), noise_);
      if (status == Status::completed && lanes_[i].time < plan_.time) continue;
      again.set_lane(i, Scalar(end(i, status, 0)));
    }
    return again;
  }

  // The time of the lane after an accepted step, and the records on the way by dense output, before
  // W moves.
  void advance(int i, double h) {
    Lane& lane = lanes_[i];
    const double before = lane.time;
    lane.advance(h, plan_.time);
    for (; lane.next < Base::last_slot_; ++lane.next) {
      const double time = double(lane.next) * plan_.every;
      if (time > lane.time) break;
      StageWeights weights = dopri5_dense_weights((time - before) / (lane.time - before));
      for (double& weight : weights.c) weight *= -h;
      Base::record_between(i, lane.next, Base::lane_weights_.of_lane(stages_, i, weights));
    }
  }

  // Ends the run of a lane that has arrived, converged, or can't go on; true where it took another.
  bool settle(int i, bool accepted, bool risen, const RiskValues& values) {
    Lane& lane = lanes_[i];
    if (accepted) {
      const double excess = values.excess.lane(i);
      lane.note_excess(excess);
      const Status status = Base::status_of(i, excess);
      if (status != Status::completed || !(lane.time < plan_.time)) {
        const std::int64_t slot = lane.time < plan_.time ? lane.next : Base::last_slot_;
        return end(i, Base::record(i, slot, values, status), slot);
      }
    } else if (!risen && lane.template too_short<Scalar>()) {
      return end(i, lane.steps == 0 ? Status::diverged : Status::stiff, lane.next);
    }
    if (risen) lane.note_rise(double(values.excess.lane(i)));
    return ++lane.tries >= plan_.max_steps[lane.run] && end(i, Status::max_steps, lane.next);
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
    return std::max(StepControl::relative_noise * (risk - problem.risk.minimum),
                    64 * rounding * risk);
  }

 protected:
  const Adaptive& plan_;
  P rtol_ = zero<P>(), atol_ = zero<P>();

 private:
  const double noise_;  // 0 where there is nothing to fit
};

}  // namespace deeplinear
