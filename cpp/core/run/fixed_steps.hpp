// Gradient descent and Runge-Kutta flow with fixed steps: a pass of the loop is one step of every
// lane.
#pragma once

#include "run/run_loop.hpp"

namespace deeplinear {

template <class Stages>
class FixedSteps : protected Ensemble<Stages> {
  using Base = Ensemble<Stages>;

 public:
  template <class... Arguments>
  explicit FixedSteps(const Problem& problem, const Plan& plan, Arguments&&... arguments)
      : Base(problem, plan, *std::get<Fixed>(plan.steps).method->tableau, arguments...),
        plan_(std::get<Fixed>(plan.steps)) {}

  using Base::recorder;

  void run() {
    for (int i = 0; i < Base::lanes; ++i) start(i);
    const P threshold(Base::threshold());
    for (std::int64_t countdown = 0; Base::any_running(); --countdown) {
      if (Base::stop_requested([this](const Lane& lane) {
            return double(lane.steps + uncounted_) / double(plan_.steps[lane.run]);
          })) {
        return abandon();
      }
      P excess = stages_.start(Base::W());
      if (Base::cut_short()) return abandon();
      const auto stops = [&] {
        return Mask<P>(Base::running() & ((excess <= threshold) | !finite(excess)));
      };
      while (countdown <= 0 || any(stops())) {
        const bool restarted = handle_events(excess);
        if (!Base::any_running()) return;
        countdown = std::numeric_limits<std::int64_t>::max();
        for (const Lane& lane : lanes_) {
          if (lane.run >= 0) countdown = std::min(countdown, lane.next - lane.steps);
        }
        if (!restarted) break;
        excess = stages_.start(Base::W());
        if (Base::cut_short()) return abandon();
      }
      if (!step()) return abandon();
      ++uncounted_;
    }
  }

 protected:
  using Base::lanes_;
  using Base::stages_;
  using typename Base::Lane;
  using typename Base::P;
  using typename Base::RiskValues;
  using typename Base::Scalar;

  // W at the next step, after the start of this one; false where it was stopped on the way.
  bool step() {
    [[maybe_unused]] const FlushToZero<Stages::flushes> guard;
    return take_step(stages_, Base::W(), step_, Base::running(),
                     [this] { return Base::stop_between_stages(); });
  }

  // Leaves the runs that have not finished where they are.
  void abandon() {
    for (int i = 0; i < Base::lanes; ++i) {
      lanes_[i].steps += uncounted_;
      if (lanes_[i].run >= 0) finish(i, Status::unfinished);
    }
  }

  void finish(int i, Status status) {
    if (plan_.keep_states && status == Status::completed) keep_state(i);
    Base::finish(i, status);
  }

  void keep_state(int i) {
    const auto size =
        Stages::state_size(Base::problem_.net, *plan_.method->tableau, lanes_[i].steps);
    std::vector<Scalar> state(size);
    if (size > 0) stages_.store_state(Base::W(), i, state.data());
    Base::outcome_.states[lanes_[i].run].assign(state.begin(), state.end());
  }

  bool start(int i) {
    const bool started = Base::start(i);
    const std::int64_t run = lanes_[i].run;
    step_.set_lane(i, started ? Scalar(plan_.step[run]) : Scalar(0));
    if (!started) return false;
    const std::int64_t done = lanes_[i].steps = plan_.done_by(run);
    std::vector<Scalar> state;
    if (!plan_.states.empty()) state.assign(plan_.states[run].begin(), plan_.states[run].end());
    stages_.begin(Base::W(), i, plan_.rule(run), plan_.step[run], done,
                  state.empty() ? nullptr : state.data());
    return true;
  }

  // Records, finishes and restarts the lanes that are due; true where a lane took another run.
  bool handle_events(P excess) {
    for (Lane& lane : lanes_) lane.steps += uncounted_;
    uncounted_ = 0;
    const std::int64_t every = plan_.every;
    const RiskValues values = Base::risk_values(excess);
    bool restarted = false;
    for (int i = 0; i < Base::lanes; ++i) {
      const Lane& lane = lanes_[i];
      if (lane.run < 0) continue;
      const std::int64_t n = lane.steps, steps = plan_.steps[lane.run];
      Status status = Base::status_of(i, excess.lane(i));
      const bool last = n == steps, ended = last || status != Status::completed;
      if (!ended && n < lane.next) continue;
      const bool due = n == plan_.done_by(lane.run) || (every > 0 && n % every == 0);
      const std::int64_t slot = last ? Base::last_slot_ : slot_of(lane.run, n);
      if (Base::has_values(status) && (due || ended)) {
        status = Base::record(i, slot, values, status);
      }
      if (!ended) {
        schedule(i);
        continue;
      }
      if (status == Status::converged) Base::recorder_.carry_forward(lane.run, slot);
      finish(i, status);
      restarted |= start(i);
    }
    return restarted;
  }

  // The place of the record at step n; a run that stops between two records fills the later one.
  std::int64_t slot_of(std::int64_t run, std::int64_t n) const {
    const std::int64_t every = plan_.every, done = plan_.done_by(run);
    if (every == 0 || n == done) return n > done;
    return (n + every - 1) / every - done / every;
  }

  // The step count at which to look at the lane again: a record, the end, or before a last step of
  // another size.
  void schedule(int i) {
    Lane& lane = lanes_[i];
    const std::int64_t steps = plan_.steps[lane.run];
    lane.next = steps;
    if (const std::int64_t every = plan_.every; every > 0) {
      lane.next = std::min(lane.next, (lane.steps / every + 1) * every);
    }
    if (lane.steps == steps - 1) {
      step_.set_lane(i, Scalar(plan_.last_step[lane.run]));
    } else if (plan_.last_step[lane.run] != plan_.step[lane.run]) {
      lane.next = std::min(lane.next, steps - 1);
    }
  }

  const Fixed& plan_;
  P step_ = zero<P>();

 private:
  std::int64_t uncounted_ = 0;  // steps since the lanes' own counts were brought up to date
};

}  // namespace deeplinear
