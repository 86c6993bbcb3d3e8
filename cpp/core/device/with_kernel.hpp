// What the name of a kernel stands for
#pragma once

#include "device/kernels.hpp"
#include "device/table.hpp"
#include "rules/table.hpp"

namespace deeplinear {

// A kernel as an argument
template <class Stages_, bool Adaptive>
struct KernelTag {
  using Stages = Stages_;
  static constexpr bool adaptive = Adaptive;
};

// Calls body(KernelTag) for the kernel of that name, in the precision Scalar.
template <class Scalar, class Body>
void with_kernel(const KernelName& kernel, Body body) {
  int place = 0;
  for_each_rule([&]<template <class> class R>(RuleTag<R>) {
    if (place++ != kernel.rule) return;
    using Chain = ChainKernel<Scalar, R>;
    using Sample = SampleKernel<Scalar, R>;
    if constexpr (Chain::rule_arrays == 0) {
      if (kernel.adaptive) {
        return kernel.by_samples ? body(KernelTag<Sample, true>{}) : body(KernelTag<Chain, true>{});
      }
    }
    kernel.by_samples ? body(KernelTag<Sample, false>{}) : body(KernelTag<Chain, false>{});
  });
}

}  // namespace deeplinear
