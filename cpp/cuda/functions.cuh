// All kernels of one precision
#pragma once

#include "cuda/kernels.cuh"
#include "rules/table.hpp"

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
  int place = 0;
  for_each_rule([&]<template <class> class R>(RuleTag<R>) {
    if (place++ != kernel.rule) return;
    using Chain = ChainKernel<Scalar, R>;
    using Sample = SampleKernel<Scalar, R>;
    if constexpr (R<Pack<Scalar, 1>>::arrays == 0) {
      if (kernel.adaptive) {
        found = kernel.by_samples ? detail::place_of<Sample, true, Memory::either>()
                                  : detail::place_of<Chain, true, Memory::either>();
        return;
      }
    }
    if (kernel.by_samples) {
      found = detail::place_of<Sample, false, Memory::either>();
    } else if (shared) {
      found = detail::place_of<Chain, false, Memory::shared>();
    } else {
      found = detail::place_of<Chain, false, Memory::global>();
    }
  });
  return found;
}

}  // namespace deeplinear::cuda
