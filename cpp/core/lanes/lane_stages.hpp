// Stages of a pack of runs with memory of their own, as the loop over steps asks for them.
#pragma once

#include "lanes/problem_numbers.hpp"
#include "lanes/sample_stages.hpp"
#include "model/out_of_range.hpp"
#include "pointwise/activate.hpp"
#include "rules/settings.hpp"
#include "scheme/stages.hpp"
#include "simd/aligned_array.hpp"
#include "threads/team.hpp"

namespace deeplinear {

// Numbers of packs that lie one after another are those of so many lanes.
template <class P>
inline void activate_packs(Activation activation, Index n, P* z, P* slope) {
  using Scalar = typename P::Scalar;
  activate(activation, n * P::lanes, reinterpret_cast<Scalar*>(z),
           reinterpret_cast<Scalar*>(slope));
}

template <class Kernel>
struct LaneMemory {
  const ProblemNumbers<typename Kernel::Data> numbers;
  AlignedVector<typename Kernel::P> memory;

  LaneMemory(const Problem& problem, const Tableau& tableau)
      : numbers(problem),
        memory(Kernel::numbers(numbers.view(), tableau), zero<typename Kernel::P>()) {}
};

template <class Kernel>
class LaneStages : LaneMemory<Kernel>, public Kernel {
  using Memory = LaneMemory<Kernel>;
  using R = typename Kernel::RuleOf;

 public:
  using typename Kernel::P;
  using typename Kernel::Scalar;
  static constexpr bool flushes = R::flushes;

  LaneStages(const Problem& problem, const Tableau& tableau, Team& team)
      : Memory(problem, tableau),
        Kernel(Memory::numbers.view(), tableau, Memory::memory.data()),
        net_(problem.net) {
    if constexpr (requires { Kernel::gradient().share_among(team); }) {
      Kernel::gradient().share_among(team);
    }
  }

  // Apart from the loop over steps, whose own numbers would take registers from theirs
  [[gnu::noinline]] P start(P* W) { return Kernel::start(W); }
  [[gnu::noinline]] void descend(P* W, P h) { Kernel::descend(W, h); }

  // The lane takes a run, which is one that goes on where there is a state.
  void begin(P*, int lane, const RuleSettings& settings, double, std::int64_t,
             const Scalar* state) {
    double numbers[R::numbers + 1];
    Scalar rounded[R::numbers + 1];
    R::read(settings, numbers);
    for (int i = 0; i < R::numbers; ++i) rounded[i] = Scalar(numbers[i]);
    Kernel::rule().start(lane, rounded);
    for (Index n = 0; n < R::arrays * net_.parameters; ++n) {
      Kernel::kept()[n].set_lane(lane, state ? state[n] : Scalar(0));
    }
  }
  // What a run keeps beside its weights, whatever the number of its steps
  static Index state_size(const Layout& net, const Tableau&, std::int64_t) {
    return R::arrays * net.parameters;
  }
  void store_state(const P*, int lane, Scalar* state) const {
    for (Index n = 0; n < R::arrays * net_.parameters; ++n) {
      state[n] = Kernel::kept()[n].lane(lane);
    }
  }

  double test_offset() const
    requires(!Kernel::by_samples)
  {
    return Memory::numbers.test_offset();
  }

  // Of the last start
  RangeFailure range_failure(const P* W, int lane, bool risk_is_finite) const
    requires(!Kernel::by_samples)
  {
    return deeplinear::range_failure<Scalar>(
        net_, risk_is_finite, [=](Index n) { return double(W[n].lane(lane)); },
        [=, this](int k, int i) { return double(Kernel::u(0)[net_.vectors[k] + i].lane(lane)); });
  }

 private:
  const Layout& net_;
};

static_assert(Stages<LaneStages<ChainStages<Pack<double, 1>>>>);
static_assert(RuledStages<LaneStages<ChainStages<Pack<double, 1>>>>);
static_assert(Stages<LaneStages<SampleStages<Pack<double, 1>>>>);
static_assert(RuledStages<LaneStages<SampleStages<Pack<double, 1>>>>);

}  // namespace deeplinear
