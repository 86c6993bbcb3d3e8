// The risk, and what a step of a linear network computes beside it.
#pragma once

#include "observe/sight.hpp"

namespace deeplinear::records {

inline constexpr Observable risk{.name = "risk",
                                 .meaning = "risk |y - X w|^2 / n",
                                 .known_to_step = true,
                                 .write = [](Sight& sight, std::span<double> out) {
                                   out[0] = sight.problem().risk.minimum + sight.excess();
                                 }};

inline constexpr Observable test_risk{
    .name = "test_risk",
    .meaning = "risk on the test data",
    .known_to_step = true,
    .lacks = [](const Problem& problem) -> const char* {
      const bool there =
          problem.by_samples() ? problem.samples.test.count() > 0 : problem.risk.test.given;
      return there ? nullptr : "the regression has no test data";
    },
    .write = [](Sight& sight, std::span<double> out) { out[0] = sight.test_risk(); }};

inline constexpr Observable distance{
    .name = "distance",
    .meaning = "squared distance |w - w*|^2 to the minimizer",
    .known_to_step = true,
    .lacks = lacks_end_to_end_map,
    .write = [](Sight& sight, std::span<double> out) { out[0] = sight.squared_distance(); }};

}  // namespace deeplinear::records
