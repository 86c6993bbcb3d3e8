// Task: what a kernel is told. Its runs lie in slots, 32 of them in a block; numbers of a run are a
// column of its block's matrix.
#pragma once

#include "rules/descent.hpp"
#include "rules/momentum.hpp"
#include "scheme/step_control.hpp"
#include "scheme/tableau.hpp"
#include "simd/column.hpp"

namespace deeplinear {

inline constexpr int slots_per_block = 32;

using SlotCount = Count;

// All arrays are of the device, (slots,) where nothing else is said.
template <class Data_>
struct Task {
  using Data = Data_;
  using Scalar = typename Data::Real;

  Data problem;
  Tableau tableau;
  SlotCount blocks;
  Index image;      // how many numbers stay of a run from one launch to the next: its weights first
  Index numbers;    // how many it computes with
  Scalar* images;   // (blocks, image, 32)
  Scalar* scratch;  // (blocks, numbers, 32); null where a block's own memory has room for them
  const SlotCount* allowance;  // how many steps it may take, or tries; none: the slot is idle
  SlotCount* taken;            // how many it took
  Scalar threshold;            // the excess risk at which a run has converged

  // Fixed steps
  const Scalar* step;
  const Scalar* rule;  // (numbers of the rule, slots)

  // Adaptive steps
  StepControl* control;
  const Scalar *rtol, *atol;
  const SlotCount* max_tries;
  double end, every;  // of time; between records, 0: none
  SlotCount last_record;

  constexpr Column<Scalar, slots_per_block> image_of(SlotCount block, int place) const {
    return Column<Scalar, slots_per_block>(images + block * image * slots_per_block + place);
  }
};

}  // namespace deeplinear
