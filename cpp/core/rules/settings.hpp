// What is said of a run's rule, and the interface of stages whose steps are a rule's.
#pragma once

#include <algorithm>
#include <concepts>
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "model/layout.hpp"
#include "scheme/tableau.hpp"

namespace deeplinear {

// What a rule is told of a run, beside the size of the step: numbers by their names, zero where
// nothing is said
class RuleSettings {
 public:
  using Columns = std::map<std::string, std::vector<double>, std::less<>>;  // (runs,) each

  RuleSettings() = default;
  RuleSettings(const Columns& columns, std::int64_t run) : columns_(&columns), run_(run) {}

  double operator[](std::string_view name) const {
    if (!columns_) return 0;
    const auto found = columns_->find(name);
    return found == columns_->end() ? 0 : found->second[std::size_t(run_)];
  }

  // Whether no other number than these is set
  template <class Names>
  bool has_only(const Names& names) const {
    if (!columns_) return true;
    return std::all_of(columns_->begin(), columns_->end(), [&](const auto& column) {
      const auto known = std::find(names.begin(), names.end(), std::string_view(column.first));
      return known != names.end() || column.second[std::size_t(run_)] == 0;
    });
  }

 private:
  const Columns* columns_ = nullptr;
  std::int64_t run_ = 0;
};

// Stages whose descend takes steps of a rule.
//
// begin         gives the lane to a run with steps of size h, which goes on after so many steps
//               where there is a state, and is at its start where that is null
// state_size    how many numbers a run keeps beside its weights after so many steps: with them it
//               goes on to the bit as if it had not stopped
// store_state   those numbers of the run of the lane; before its weights are settled
template <class S>
concept RuledStages =
    requires(S& stages, typename S::P* W, int lane, const RuleSettings& settings, double h,
             std::int64_t steps, const typename S::P::Scalar* state, typename S::P::Scalar* to,
             const Layout& net, const Tableau& tableau) {
      { S::rule_arrays } -> std::convertible_to<int>;
      stages.begin(W, lane, settings, h, steps, state);
      { S::state_size(net, tableau, steps) } -> std::convertible_to<std::ptrdiff_t>;
      stages.store_state(W, lane, to);
    };

}  // namespace deeplinear
