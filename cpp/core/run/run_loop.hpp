// The runs of one team of threads: a pack of lanes, each of which takes the next run when its own
// has finished.
#pragma once

#include <algorithm>
#include <limits>
#include <vector>

#include "model/out_of_range.hpp"
#include "observe/recorder.hpp"
#include "pointwise/risk_of_zero.hpp"
#include "run/lane_weights.hpp"
#include "run/plan.hpp"
#include "run/run_queue.hpp"
#include "scheme/step_control.hpp"
#include "scheme/steps.hpp"
#include "simd/aligned_array.hpp"
#include "simd/flush_to_zero.hpp"

namespace deeplinear {

// What fixed and adaptive steps have in common.
template <class Stages>
class Ensemble {
 public:
  using P = typename Stages::P;
  using Scalar = typename P::Scalar;
  static constexpr int lanes = P::lanes;

  Ensemble(const Problem& problem, const Plan& plan, const Tableau& tableau, Team& team,
           Scalar* weights, const Records& records, Outcome& outcome, RunQueue& queue, Stop& stop)
      : problem_(problem),
        outcome_(outcome),
        recorder_(problem, records, team, stop, Stages::in_place),
        stages_(problem, tableau, team),
        lane_weights_(problem.net),
        last_slot_(records.slots - 1),
        stop_(stop),
        weights_(weights),
        queue_(queue),
        threshold_(threshold(problem, plan.tolerance)),
        underflows_(underflows(problem)),
        steps_between_polls_(std::max<std::int64_t>(1, 50000 / work_of_step(problem))) {
    if constexpr (watches) stages_.gradient().watch(stop);
  }

  const auto& recorder() const { return recorder_; }

 protected:
  // Whether a gradient may take long, and ends without a result where it is to stop
  static constexpr bool watches =
      requires(Stages& stages, Stop& stop) { stages.gradient().watch(stop); };

  // A run, and how far it is. Fixed steps count alone: next is the step count at which to look at
  // the run again.
  struct Lane : StepControl {
    std::int64_t run = -1;  // -1: idle
    double reported = 0;    // share of the run that the progress knows of
  };

  // The risk, and what comes with it for a linear map, of every lane at the last stage
  struct RiskValues {
    P excess, squared_distance, test_excess;
  };

  RiskValues risk_values(P excess) {
    RiskValues values{excess, zero<P>(), zero<P>()};
    if constexpr (!Stages::by_samples) {
      values.squared_distance = stages_.squared_distance();
      if (recorder_.wants_test_risk()) values.test_excess = stages_.test_excess();
    }
    return values;
  }

  // Gives the lane its next run, or none; true where there was one.
  bool start(int i) {
    Lane& lane = lanes_[i] = Lane{};
    lane.run = stop_.requested() ? -1 : queue_.next();
    const bool runs = lane.run >= 0;
    lane_weights_.load(i, runs ? weights_of(lane.run) : nullptr);
    running_.set_lane(i, Scalar(runs));
    return runs;
  }

  // Gives the lane back to a run that was elsewhere; the weights are the caller's.
  void resume(int i, const Lane& lane) {
    lanes_[i] = lane;
    running_.set_lane(i, Scalar(1));
  }

  void finish(int i, Status status) {
    Lane& lane = lanes_[i];
    // A record of the run may have been cut short.
    if (stop_.requested() && recorder_.wants_weights()) status = Status::unfinished;
    lane_weights_.store(stages_, i, weights_of(lane.run));
    outcome_.status[lane.run] = status;
    outcome_.last_step[lane.run] = lane.steps;
    stop_.advance(1 - lane.reported);
  }

  // The status that a lane has if it stops here.
  Status status_of(int i, double excess) {
    const bool at_start = lanes_[i].steps == 0 && lanes_[i].time == 0;
    if (at_start && underflows_) return Status::underflowed;
    if constexpr (!Stages::by_samples) {
      const RangeFailure failure =
          at_start ? stages_.range_failure(W(), i, std::isfinite(excess)) : RangeFailure{};
      if (failure.kind != RangeFailure::none) {
        outcome_.out_of_range[lanes_[i].run] = failure.layer;
        return failure.kind == RangeFailure::overflow ? Status::overflowed : Status::underflowed;
      }
    }
    if (!std::isfinite(excess)) return Status::diverged;
    return converged(excess) ? Status::converged : Status::completed;
  }
  static bool has_values(Status status) {
    return status != Status::diverged && status != Status::overflowed;
  }
  bool converged(double excess) const { return Scalar(excess) <= threshold_; }

  // The excess risk at which a run has converged, minus infinity where none has. Through the
  // samples the excess is what is left of R - R(w*), which rounds at every block of them.
  Scalar threshold() const { return threshold_; }

  // Returns the status that the lane has after it: none is finished whose record was cut short.
  Status record(int i, std::int64_t slot, const RiskValues& values, Status status) {
    const std::int64_t run = lanes_[i].run;
    deeplinear::RiskValues known{values.excess.lane(i)};
    if constexpr (!Stages::by_samples) {
      known.squared_distance = values.squared_distance.lane(i);
      known.test_risk = stages_.test_offset() + double(values.test_excess.lane(i));
    }
    if (!recorder_.wants_weights()) {
      recorder_.write(run, slot, known);
      return status;
    }
    recorder_.write(run, slot, known, lane_weights_.of_lane(stages_, i),
                    [&, i](std::span<double> out) { lane_weights_.copy(stages_, i, out); });
    steps_since_poll_ = steps_between_polls_;  // it may have taken long
    return stop_.requested() ? Status::unfinished : status;
  }

  // Records weights of lane i that no step holds.
  void record_between(int i, std::int64_t slot, const Weights& weights) {
    recorder_.write(lanes_[i].run, slot, weights,
                    [&](std::span<double> out) { weights.copy(problem_.net, out.data()); });
    steps_since_poll_ = steps_between_polls_;
  }

  Mask<P> running() const { return P(Scalar(0.5)) < running_; }
  bool any_running() const {
    return std::any_of(lanes_, lanes_ + lanes, [](const Lane& lane) { return lane.run >= 0; });
  }

  P* W() { return lane_weights_.data(); }

  // Within a step, whose stages leave the weights as they are; where one of them takes long.
  bool stop_between_stages() { return (Stages::in_place || watches) && stop_.poll(); }

  // After a gradient: whether it has no result
  bool cut_short() const { return watches && stop_.requested(); }

  // Leaves the runs that have not finished where they are.
  void abandon() {
    for (int i = 0; i < lanes; ++i) {
      if (lanes_[i].run >= 0) finish(i, Status::unfinished);
    }
  }

  // Looks at the clock and the wish to stop once in a while; share(lane) is the part of its run
  // that a lane has done.
  template <class Share>
  bool stop_requested(Share share) {
    if (++steps_since_poll_ < steps_between_polls_) return false;
    steps_since_poll_ = 0;
    for (Lane& lane : lanes_) {
      if (lane.run < 0) continue;
      const double done = share(lane);
      stop_.advance(done - lane.reported);
      lane.reported = done;
    }
    return stop_.poll();
  }

  const Problem& problem_;
  Outcome& outcome_;
  Recorder recorder_;
  Stages stages_;
  LaneWeights<Stages> lane_weights_;
  Lane lanes_[lanes];
  const std::int64_t last_slot_;
  Stop& stop_;

 private:
  static Scalar threshold(const Problem& problem, double tolerance) {
    double rounding = 0;
    if constexpr (Stages::by_samples) {
      rounding = double(std::numeric_limits<Scalar>::epsilon()) * problem.risk.minimum *
                 (8 + problem.samples.train.count() / 8);
    }
    return tolerance > rounding ? Scalar(tolerance - rounding)
                                : -std::numeric_limits<Scalar>::infinity();
  }

  // Whether the squares of these data leave nothing in the precision of the runs.
  static bool underflows(const Problem& problem) {
    const double risk = risk_of_zero(problem);
    return risk > 0 && risk < 1e8 * double(std::numeric_limits<Scalar>::min());
  }

  // Multiply-adds, but for a factor
  static std::int64_t work_of_step(const Problem& problem) {
    const std::int64_t samples = problem.by_samples() ? problem.samples.train.count() : 1;
    return samples * problem.net.parameters;
  }

  Scalar* weights_of(std::int64_t run) { return weights_ + run * problem_.net.parameters; }

  Scalar* weights_;  // (runs, P)
  P running_ = zero<P>();
  RunQueue& queue_;
  const Scalar threshold_;
  const bool underflows_;
  const std::int64_t steps_between_polls_;
  std::int64_t steps_since_poll_ = 0;
};

}  // namespace deeplinear
