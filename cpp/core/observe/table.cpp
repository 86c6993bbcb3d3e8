#include "observe/observable.hpp"
#include "observe/records/balancedness.hpp"
#include "observe/records/end_to_end.hpp"
#include "observe/records/extremes.hpp"
#include "observe/records/gauss_newton.hpp"
#include "observe/records/gradient_norm.hpp"
#include "observe/records/hessian_trace.hpp"
#include "observe/records/layer_sharpness.hpp"
#include "observe/records/layers.hpp"
#include "observe/records/risk.hpp"
#include "observe/records/singular_values.hpp"
#include "observe/records/weights.hpp"

namespace deeplinear {

std::span<const Observable* const> observables() {
  static constexpr const Observable* table[] = {
      &records::risk,
      &records::test_risk,
      &records::distance,
      &records::sharpness,
      &records::lowest_eigenvalue,
      &records::layer_norm,
      &records::rank_one_gap,
      &records::alignment,
      &records::balancedness,
      &records::end_to_end,
      &records::weights,
      &records::gradient_norm,
      &records::hessian_trace,
      &records::gauss_newton,
      &records::layer_sharpness,
      &records::singular_values,
      &records::eigenvalues,
  };
  return table;
}

}  // namespace deeplinear
