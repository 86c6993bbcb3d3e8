// The least-squares risk with memory of its own.
#pragma once

#include <algorithm>
#include <type_traits>
#include <vector>

#include "model/problem.hpp"
#include "risk/map_risk.hpp"
#include "risk/quadratic.hpp"
#include "simd/aligned_array.hpp"

namespace deeplinear {

// The numbers of a risk in the precision Scalar: those that are there, or copies
template <class Scalar>
class QuadraticNumbers {
 public:
  explicit QuadraticNumbers(const Risk& risk) {
    view_.dimension = risk.dimension;
    view_.by_modes = risk.by_modes<Scalar>();
    view_.minimizer = keep(risk.minimizer);
    test_offset_ = view_.by_modes ? risk.test.rest : risk.test.at_minimizer;
    if (view_.by_modes) {
      view_.modes = keep(risk.modes);
      view_.test_modes = keep(risk.test.modes);
      return;
    }
    twice_covariance_.resize(risk.covariance.size());
    std::transform(risk.covariance.begin(), risk.covariance.end(), twice_covariance_.begin(),
                   [](double c) { return Scalar(2 * c); });
    view_.twice_covariance = twice_covariance_.data();
    view_.test_covariance = keep(risk.test.covariance);
    view_.test_half_gradient = keep(risk.test.half_gradient);
  }
  QuadraticNumbers(const QuadraticNumbers&) = delete;
  QuadraticNumbers& operator=(const QuadraticNumbers&) = delete;

  // As long as this and the risk live
  const QuadraticView<Scalar>& view() const { return view_; }
  // What the test risk has beside QuadraticRisk::test_excess
  double test_offset() const { return test_offset_; }

 private:
  const Scalar* keep(const std::vector<double>& values) {
    if constexpr (std::is_same_v<Scalar, double>) {
      return values.data();
    } else {
      return copies_.emplace_back(values.begin(), values.end()).data();
    }
  }
  ModesView<Scalar> keep(const Modes& modes) {
    return {int(modes.target.size()), keep(modes.factor), keep(modes.transposed),
            keep(modes.target)};
  }

  QuadraticView<Scalar> view_;
  std::vector<Scalar> twice_covariance_;
  std::vector<std::vector<Scalar>> copies_;
  double test_offset_ = 0;
};

// The risk in the precision of a pack, as long as the numbers that it is made from.
template <class P>
class RiskEvaluator {
 public:
  using Scalar = typename P::Scalar;

  explicit RiskEvaluator(const Risk& risk)
      : numbers_(risk),
        memory_(numbers_.view().numbers()),
        risk_(numbers_.view(), memory_.data()) {}

  P gradient(const P* w, P* v0) { return risk_.gradient(w, v0); }
  void curvature(const P* x, P* y) { risk_.curvature(x, y); }
  P squared_distance() const { return risk_.squared_distance(); }
  double test_offset() const { return numbers_.test_offset(); }
  P test_excess() { return risk_.test_excess(); }

 private:
  QuadraticNumbers<Scalar> numbers_;
  AlignedVector<P> memory_;
  QuadraticRisk<P, P*> risk_;
};

static_assert(MapRisk<RiskEvaluator<Pack<double, 1>>, Pack<double, 1>>);

}  // namespace deeplinear
