// All kernels of one precision
#pragma once

#include "cuda/kernels.cuh"
#include "device/with_kernel.hpp"

namespace deeplinear::cuda {

namespace detail {

template <class Stages, bool Adaptive, Memory where>
const void* place_of() {
  return reinterpret_cast<const void*>(&advance<Stages, Adaptive, where>);
}

}  // namespace detail

template <class Scalar>
const void* function_of(const KernelName& kernel, bool shared) {
  const void* found = nullptr;
  with_kernel<Scalar>(kernel, [&](auto tag) {
    using Stages = typename decltype(tag)::Stages;
    constexpr bool adaptive = decltype(tag)::adaptive;
    if constexpr (Stages::by_samples || adaptive) {
      found = detail::place_of<Stages, adaptive, Memory::either>();
    } else {
      found = shared ? detail::place_of<Stages, adaptive, Memory::shared>()
                     : detail::place_of<Stages, adaptive, Memory::global>();
    }
  });
  return found;
}

}  // namespace deeplinear::cuda
