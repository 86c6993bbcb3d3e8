// Runs that stay in the memory of a device, which takes their steps. It stops where somebody has to
// look at a run: at a record, an end, or a risk that is out of range. The step there is taken here,
// by the loop of one lane that every engine has.
#pragma once

#include <algorithm>
#include <chrono>
#include <vector>

#include "device/arrays.hpp"
#include "device/kernels.hpp"
#include "lanes/problem_numbers.hpp"
#include "rules/table.hpp"
#include "run/adaptive_steps.hpp"
#include "run/fixed_steps.hpp"

namespace deeplinear {

// Of one thread, which has slots of its own. Kernel are the stages on the device, Steps the loop of
// one lane here.
template <class Kernel, class Steps, bool Adaptive>
class ResidentRuns : Steps {
  using Steps::lanes_;
  using Steps::plan_;
  using Steps::problem_;
  using Steps::stages_;
  using Steps::stop_;
  using typename Steps::Lane;
  using typename Steps::P;
  using typename Steps::Scalar;
  using Data = typename Kernel::Data;
  using Rule = typename Kernel::RuleOf;
  using Image = Column<Scalar, slots_per_block>;
  static constexpr int per_block = slots_per_block;

 public:
  template <class... Arguments>
  ResidentRuns(const Problem& problem, const Plan& plan, Team& team, Arguments&&... arguments)
      : Steps(problem, plan, team, arguments...),
        device_(*plan.device),
        numbers_(problem),
        on_device_(device_, numbers_.view()),
        kernel_{Kernel::by_samples, Adaptive, sizeof(Scalar) == 4, place_of_rule()},
        image_(image_of<Kernel>(numbers_.view(), Adaptive)),
        bytes_(std::size_t(numbers_of<Kernel>(numbers_.view(), stages_.tableau())) * per_block *
               sizeof(Scalar)),
        blocks_(blocks(plan)),
        count_(std::size_t(blocks_) * per_block),
        slots_(count_),
        images_(device_, count_ * std::size_t(image_)),
        scratch_(device_, has_room_ ? 0 : std::size_t(blocks_) * bytes_ / sizeof(Scalar)),
        allowance_(device_, count_),
        taken_(device_, count_),
        step_of_(device_, Adaptive ? 0 : count_),
        rule_(device_, std::size_t(Rule::numbers) * count_),
        control_(device_, Adaptive ? count_ : 0),
        rtol_of_(device_, Adaptive ? count_ : 0),
        atol_of_(device_, Adaptive ? count_ : 0),
        max_tries_(device_, Adaptive ? count_ : 0) {}

  using Steps::recorder;

  void run() {
    for (SlotCount block = 0; block < blocks_; ++block) {
      attend_block(block, [](const Slot&) { return true; });
    }
    while (launch()) {
      if (stop_.poll()) return abandon();
      for (SlotCount block = 0; block < blocks_; ++block) {
        attend_block(block, [](const Slot& slot) { return slot.stopped; });
        if (stop_.poll()) return abandon();
      }
    }
  }

 private:
  struct Slot {
    Lane lane;  // as it was when somebody looked at it last, but for the steps
    Scalar step = 0;
    bool stopped = false;
  };

  static int place_of_rule() {
    int place = 0, found = 0;
    for_each_rule([&]<template <class> class R>(RuleTag<R>) {
      if (std::is_same_v<R<Pack<Scalar, 1>>, Rule>) found = place;
      ++place;
    });
    return found;
  }

  // As many as work at the same time, twice, so that none waits for the slowest: the part of them
  // that is this thread's, unless there are fewer runs.
  SlotCount blocks(const Plan& plan) {
    long long at_once = 1;
    require_success(device_.occupancy(device_.device, kernel_, bytes_, &at_once, &has_room_));
    const auto threads = std::min<std::int64_t>(plan.threads, plan.runs);
    const std::int64_t wanted = (plan.runs + threads * per_block - 1) / (threads * per_block);
    return std::clamp<std::int64_t>((2 * at_once + threads - 1) / threads, 1, wanted);
  }

  // ---- On the device
  // -----------------------------------------------------------------------------

  // Lets the device work for a while; false where there is nothing left to do.
  bool launch() {
    std::vector<SlotCount> allowance(count_), taken(count_);
    bool any = false;
    for (std::size_t i = 0; i < count_; ++i) {
      const Lane& lane = slots_[i].lane;
      if (lane.run < 0) continue;
      any = true;
      allowance[i] = Adaptive ? chunk_ : std::min<SlotCount>(chunk_, lane.next - lane.steps);
    }
    if (!any) return false;
    allowance_.upload(allowance);
    upload_slots();
    const auto before = std::chrono::steady_clock::now();
    const Task<Data> task = make_task();
    require_success(device_.run(device_.device, kernel_, &task, blocks_, bytes_));
    const std::chrono::duration<double> time = std::chrono::steady_clock::now() - before;
    // Longer, where launches take less than the time in which a person wants an answer
    if (time.count() < 0.025) chunk_ = std::min<SlotCount>(2 * chunk_, SlotCount(1) << 40);
    if (time.count() > 0.1) chunk_ = std::max<SlotCount>(chunk_ / 2, 1);
    taken_.download(taken);
    if constexpr (Adaptive) download_control();
    for (std::size_t i = 0; i < count_; ++i) {
      Slot& slot = slots_[i];
      if (slot.lane.run < 0) continue;
      // A kernel leaves a slot alone that may take none.
      const SlotCount steps = allowance[i] > 0 ? taken[i] : 0;
      if constexpr (!Adaptive) slot.lane.steps += steps;
      slot.stopped = steps < allowance[i] || (!Adaptive && slot.lane.steps == slot.lane.next);
      report(slot.lane);
    }
    return true;
  }

  void report(Lane& lane) {
    double done;
    if constexpr (Adaptive) {
      done = lane.time / plan_.time;
    } else {
      done = double(lane.steps) / double(plan_.steps[lane.run]);
    }
    stop_.advance(done - lane.reported);
    lane.reported = done;
  }

  Task<Data> make_task() const {
    Task<Data> task{};
    task.problem = on_device_.view();
    task.tableau = stages_.tableau();
    task.blocks = blocks_;
    task.image = image_;
    task.numbers = Index(bytes_ / sizeof(Scalar)) / per_block;
    task.images = images_.data();
    task.scratch = scratch_.data();
    task.allowance = allowance_.data();
    task.taken = taken_.data();
    task.threshold = Steps::threshold();
    task.step = step_of_.data();
    task.rule = rule_.data();
    if constexpr (Adaptive) {
      task.control = control_.data();
      task.rtol = rtol_of_.data();
      task.atol = atol_of_.data();
      task.max_tries = max_tries_.data();
      task.end = plan_.time;
      task.every = plan_.every;
      task.last_record = Steps::last_slot_;
    }
    return task;
  }

  // What is told of the runs, beside their weights
  void upload_slots() {
    if constexpr (Adaptive) {
      std::vector<StepControl> control(count_);
      for (std::size_t i = 0; i < count_; ++i) control[i] = slots_[i].lane;
      control_.upload(control);
    }
    if (!changed_) return;
    changed_ = false;
    if constexpr (Adaptive) {
      upload_of_runs(rtol_of_, [this](std::int64_t run) { return Steps::rtol_of(run); });
      upload_of_runs(atol_of_, [this](std::int64_t run) { return Steps::atol_of(run); });
      upload_of_runs(max_tries_, [this](std::int64_t run) { return plan_.max_steps[run]; });
    } else {
      std::vector<Scalar> step(count_), rule(std::size_t(Rule::numbers) * count_);
      for (std::size_t i = 0; i < count_; ++i) {
        step[i] = slots_[i].step;
        const std::int64_t run = slots_[i].lane.run;
        if (run < 0 || Rule::numbers == 0) continue;
        double numbers[Rule::numbers + 1];
        Rule::read(plan_.rule(run), numbers);
        for (int n = 0; n < Rule::numbers; ++n) rule[n * count_ + i] = Scalar(numbers[n]);
      }
      step_of_.upload(step);
      rule_.upload(rule);
    }
  }

  // A number of the run of each slot
  template <class Number, class Of>
  void upload_of_runs(const DeviceArray<Number>& array, Of of) {
    std::vector<Number> numbers(count_);
    for (std::size_t i = 0; i < count_; ++i) {
      if (slots_[i].lane.run >= 0) numbers[i] = of(slots_[i].lane.run);
    }
    array.upload(numbers);
  }

  void download_control() {
    std::vector<StepControl> control(count_);
    control_.download(control);
    for (std::size_t i = 0; i < count_; ++i) {
      static_cast<StepControl&>(slots_[i].lane) = control[i];
    }
  }

  // ---- Here
  // ----------------------------------------------------------------------------------------

  // Looks at the slots of a block for which due(slot).
  template <class Due>
  void attend_block(SlotCount block, Due due) {
    Slot* const slots = slots_.data() + block * per_block;
    if (std::none_of(slots, slots + per_block, due)) return;
    with_images(block, [&](int place, Image image) {
      return due(slots[place]) && attend(slots[place], image);
    });
  }

  // Calls body(place, image) for the slots of a block, and puts back what it says it has changed.
  template <class Body>
  void with_images(SlotCount block, Body body) {
    std::vector<Scalar> images(std::size_t(image_) * per_block);
    const std::size_t first = std::size_t(block) * images.size();
    images_.download(images, first);
    bool changed = false;
    for (int place = 0; place < per_block; ++place) {
      changed |= body(place, Image(images.data() + place));
    }
    if (changed) images_.upload(images, first);
  }

  // Does what is due of a slot's run, or gives it one; true where the image is another one then.
  bool attend(Slot& slot, Image image) {
    const Lane before = slot.lane;
    slot.stopped = false;
    changed_ = true;
    if (before.run < 0) {
      begin();
    } else {
      restore(slot, image);
      go_on();
    }
    slot.lane = lanes_[0];
    bool moved = Adaptive || slot.lane.run != before.run;
    if constexpr (!Adaptive) {
      // Rounding on the device can differ at the ends of the range. So that every launch gets
      // further, the step is taken here.
      if (!moved && before.steps != before.next && before.run >= 0) {
        Steps::step();
        ++slot.lane.steps;
        moved = true;
      }
      slot.step = Steps::step_.lane(0);
    }
    if (slot.lane.run < 0 || !moved) return false;
    copy(image, false);
    return true;
  }

  void begin() {
    if (!Steps::start(0)) return;
    if constexpr (Adaptive) {
      Steps::begin_all(P(Scalar(1)));
    } else {
      go_on();
    }
  }

  void go_on() {
    if constexpr (Adaptive) {
      Steps::begin_all(Steps::try_step());
    } else {
      P excess = stages_.start(Steps::W());
      while (Steps::handle_events(excess)) excess = stages_.start(Steps::W());
    }
  }

  // The run of a slot takes the lane.
  void restore(const Slot& slot, Image image) {
    Steps::resume(0, slot.lane);
    if constexpr (Adaptive) {
      Steps::take_tolerances(0);
    } else {
      Steps::step_.set_lane(0, slot.step);
      stages_.begin(Steps::W(), 0, plan_.rule(slot.lane.run), 0, 0, nullptr);
    }
    copy(image, true);
  }

  // Between an image and the lane
  void copy(Image image, bool to_lane) {
    const Index weights = problem_.net.parameters;
    for (Index n = 0; n < image_; ++n) {
      P& number = n < weights ? Steps::W()[n] : stages_.kept()[n - weights];
      if (to_lane) {
        number = image[n];
      } else {
        image[n] = number;
      }
    }
  }

  // Leaves the runs that have not finished where they are.
  void abandon() {
    for (SlotCount block = 0; block < blocks_; ++block) {
      with_images(block, [&](int place, Image image) {
        Slot& slot = slots_[std::size_t(block) * per_block + std::size_t(place)];
        if (slot.lane.run < 0) return false;
        restore(slot, image);
        Steps::finish(0, Status::unfinished);
        slot.lane.run = -1;
        return false;
      });
    }
  }

  const DeviceTable& device_;
  const ProblemNumbers<Data> numbers_;
  const DeviceProblem<Data> on_device_;
  const KernelName kernel_;
  const Index image_;
  const std::size_t bytes_;
  bool has_room_ = false;
  const SlotCount blocks_;
  const std::size_t count_;
  std::vector<Slot> slots_;
  SlotCount chunk_ = 64;
  bool changed_ = true;
  DeviceArray<Scalar> images_, scratch_;
  DeviceArray<SlotCount> allowance_, taken_;
  DeviceArray<Scalar> step_of_, rule_;
  DeviceArray<StepControl> control_;
  DeviceArray<Scalar> rtol_of_, atol_of_;
  DeviceArray<SlotCount> max_tries_;
};

}  // namespace deeplinear
