// The runs of one thread: a pack of lanes, each of which takes the next run when its own has
// finished.
#pragma once

#include <algorithm>
#include <limits>
#include <vector>

#include "coordination.hpp"
#include "memory.hpp"
#include "recorder.hpp"
#include "stepper.hpp"

namespace deeplinear {

// What fixed and adaptive steps have in common.
template <class Stages>
class Ensemble {
 public:
  using P = typename Stages::P;
  using Scalar = typename P::Scalar;
  static constexpr int lanes = P::lanes;

  Ensemble(const Problem& problem, const Plan& plan, const Tableau& tableau, Scalar* weights,
           const Records& records, Outcome& outcome, Coordination& shared, bool calling_thread)
      : problem_(problem),
        plan_(plan),
        recorder_(problem, plan, records, [this] { return poll(); }),
        stages_(problem, tableau),
        W_(problem.net.parameters, zero<P>()),
        weights_(weights),
        outcome_(outcome),
        shared_(shared),
        calling_thread_(calling_thread),
        probed_(problem.net.parameters),
        steps_between_polls_(std::max<std::int64_t>(1, 50000 / problem.net.parameters)) {}

  const auto& recorder() const { return recorder_; }

 protected:
  using Landscape = typename Stages::Landscape;
  static constexpr double smallest_log_error = -9.2;  // of an error of 1e-4

  struct Lane {
    std::int64_t run = -1;   // -1: idle
    std::int64_t steps = 0;  // taken
    std::int64_t next =
        0;                // fixed: step count of the next event; adaptive: slot of the next record
    double reported = 0;  // share of the run that the progress knows of
    // Adaptive steps alone:
    double time = 0;
    double step = 0;                        // the next to be tried
    double log_error = smallest_log_error;  // of the last accepted step
    bool rejected = false;                  // the last try
  };

  // The risk, and what comes with it for a linear map, of every lane at the last stage
  struct RiskValues {
    P excess, squared_distance, test_excess;
  };

  RiskValues risk_values(P excess) {
    RiskValues values{excess, zero<P>(), zero<P>()};
    if constexpr (!Landscape::by_samples) {
      values.squared_distance = stages_.squared_distance();
      if (recorder_.wants_test_risk()) values.test_excess = stages_.test_excess();
    }
    return values;
  }

  // Gives the lane its next run, or none; true where there was one.
  bool start(int i) {
    Lane& lane = lanes_[i] = Lane{};
    lane.run = shared_.stopped() ? -1 : shared_.next_run();
    const bool runs = lane.run >= 0;
    const Scalar* from = runs ? weights_ + lane.run * problem_.net.parameters : nullptr;
    for (auto& w : W_) w.set_lane(i, runs ? *from++ : Scalar(0));
    running_.set_lane(i, Scalar(runs));
    return runs;
  }

  void finish(int i, Status status) {
    Lane& lane = lanes_[i];
    Scalar* to = weights_ + lane.run * problem_.net.parameters;
    for (const auto& w : W_) *to++ = w.lane(i);
    outcome_.status[lane.run] = status;
    outcome_.last_step[lane.run] = lane.steps;
    shared_.advance(1 - lane.reported);
  }

  // The status that a lane has if it stops here.
  Status status_of(double excess) const {
    if (!std::isfinite(excess)) return Status::diverged;
    return converged(excess) ? Status::converged : Status::completed;
  }
  bool converged(double excess) const {
    return plan_.tolerance > 0 && Scalar(excess) <= Scalar(plan_.tolerance);
  }

  void record(int i, std::int64_t slot, const RiskValues& values) {
    const std::int64_t run = lanes_[i].run;
    recorder_.write_risk(run, slot, values.excess.lane(i));
    if constexpr (!Landscape::by_samples) {
      recorder_.write_map(run, slot, values.squared_distance.lane(i), values.test_excess.lane(i));
    }
    if (!recorder_.wants_probes()) return;
    std::transform(W_.begin(), W_.end(), probed_.begin(),
                   [i](const P& w) { return double(w.lane(i)); });
    recorder_.write_probes(run, slot, probed_.data());
  }

  Mask<P> running() const { return P(Scalar(0.5)) < running_; }
  bool any_running() const {
    return std::any_of(lanes_, lanes_ + lanes, [](const Lane& lane) { return lane.run >= 0; });
  }

  bool poll() { return shared_.poll(calling_thread_); }

  // Looks at the clock and the wish to stop once in a while; share(lane) is the part of its run
  // that a lane has done.
  template <class Share>
  bool stop_requested(Share share) {
    if (++steps_since_poll_ < steps_between_polls_) return false;
    steps_since_poll_ = 0;
    for (Lane& lane : lanes_) {
      if (lane.run < 0) continue;
      const double done = share(lane);
      shared_.advance(done - lane.reported);
      lane.reported = done;
    }
    return poll();
  }

  const Problem& problem_;
  const Plan& plan_;
  Recorder<Landscape> recorder_;
  Stages stages_;
  AlignedVector<P> W_;
  Lane lanes_[lanes];
  AlignedVector<double>& probed() { return probed_; }

 private:
  Scalar* weights_;  // (runs, P)
  P running_ = zero<P>();
  Outcome& outcome_;
  Coordination& shared_;
  const bool calling_thread_;
  AlignedVector<double> probed_;
  const std::int64_t steps_between_polls_;
  std::int64_t steps_since_poll_ = 0;
};

}  // namespace deeplinear
