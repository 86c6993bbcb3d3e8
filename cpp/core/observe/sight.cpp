#include "observe/sight.hpp"

#include <algorithm>
#include <cmath>

#include "landscape/layer_maps.hpp"

namespace deeplinear {

void Sight::turn_to(std::int64_t run, const Weights& weights, CopyWeights copy) {
  run_ = run;
  weights_ = weights;
  copy_ = std::move(copy);
  evaluated_ = has_spectra_ = false;
}

Landscape& Sight::linear() {
  if (!linear_) linear_ = std::make_unique<Landscape>(problem_, team_);
  if (!std::exchange(evaluated_, true)) linear_->evaluate(weights_);
  return *linear_;
}

SampleLandscape& Sight::by_samples() {
  if (!by_samples_) by_samples_ = std::make_unique<SampleLandscape>(problem_, team_);
  if (!std::exchange(evaluated_, true)) by_samples_->evaluate(weights_);
  return *by_samples_;
}

RiskValues Sight::risk_values(bool with_test_risk) {
  if (problem_.by_samples()) return {by_samples().excess()};
  auto& risk = linear().risk();
  const double test = with_test_risk ? risk.test_offset() + risk.test_excess().lane(0) : 0;
  return {linear().excess(), risk.squared_distance().lane(0), test};
}

double Sight::squared_distance() {
  return problem_.by_samples() ? by_samples().squared_distance() : values_.squared_distance;
}

double Sight::test_risk() {
  return problem_.by_samples() ? by_samples().test_risk() : values_.test_risk;
}

const std::vector<LayerSpectrum>& Sight::spectra() {
  if (!std::exchange(has_spectra_, true)) spectra_ = layer_spectra(net(), weights_, team_, stop_);
  return spectra_;
}

const RowMatrix& Sight::root_of_covariance() {
  if (!root_) root_ = deeplinear::root_of_covariance(problem_);
  return *root_;
}

LanczosOptions Sight::lanczos_options() {
  LanczosOptions options;
  options.tolerance = recorded_tolerance;
  options.stop = &stop_;
  return options;
}

std::vector<double> Sight::extreme_eigenvalues(bool largest, int count) {
  LanczosOptions options = lanczos_options();
  options.largest = largest;
  Guess& guess = guesses_[accuracy_];
  const Direction* const start = guess.run == run_ ? &guess.vector : nullptr;
  std::vector<Sharpness> found = at_landscape([&](auto& landscape) {
    return deeplinear::extreme_eigenvalues(landscape, count, options, start);
  });
  if (stop_.poll()) return {};  // cut short
  std::vector<double> values;
  for (const Sharpness& one : found) {
    note(one);
    values.push_back(one.value);
  }
  if (follows_ && !found.empty()) guess = {std::move(found.front().vector), run_};
  return values;
}

void Sight::note(const Sharpness& found) {
  if (!found.converged) ++accuracy_->unconverged;
  if (found.value != 0) {
    accuracy_->residual = std::max(accuracy_->residual, std::abs(found.residual / found.value));
  }
}

}  // namespace deeplinear
