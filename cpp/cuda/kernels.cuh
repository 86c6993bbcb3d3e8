// The kernels of the device folder as CUDA sees them: a block is one warp, a thread a slot.
#pragma once

#include "device/kernels.hpp"
#include "device/table.hpp"

namespace deeplinear::cuda {

// Where the numbers of a block lie. What is compiled for one memory alone is faster, and takes as
// long to compile again.
enum class Memory { shared, global, either };

template <class Stages, bool Adaptive, Memory where>
__global__ void __launch_bounds__(slots_per_block)
    advance(const __grid_constant__ Task<typename Stages::Data> task) {
  using Scalar = typename Stages::Scalar;
  extern __shared__ double own[];
  Scalar* const shared = reinterpret_cast<Scalar*>(own);
  Scalar* const global = task.scratch + blockIdx.x * task.numbers * slots_per_block;
  Scalar* memory = where == Memory::shared ? shared : global;
  if (where == Memory::either && !task.scratch) memory = shared;
  run_slot<Stages, Adaptive>(task, blockIdx.x, int(threadIdx.x), memory);
}

// The function of a kernel, in the precision of the file that defines it
template <class Scalar>
const void* function_of(const KernelName& kernel, bool shared);

}  // namespace deeplinear::cuda
