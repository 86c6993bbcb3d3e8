// R(0), the risk of the zero map
#pragma once

#include "model/problem.hpp"
#include "pointwise/loss.hpp"

namespace deeplinear {

inline double risk_of_zero(const Problem& problem) {
  if (!problem.by_samples()) return problem.risk.minimum + problem.risk.excess_of_zero();
  using One = Pack<double, 1>;
  double sum = 0;
  with_loss(problem.samples.loss, [&]<Loss L>(L) {
    for (const double y : problem.samples.train.targets) {
      sum += L::value(zero<One>(), One(y)).lane(0);
    }
  });
  return sum / problem.samples.train.count();
}

}  // namespace deeplinear
