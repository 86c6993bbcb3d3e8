// Eigenvalues at the ends of the Hessian's spectrum.
#pragma once

#include "observe/sight.hpp"

namespace deeplinear::records {

inline constexpr Observable sharpness{.name = "sharpness",
                                      .meaning = "largest eigenvalue of the Hessian",
                                      .iterative = true,
                                      .write = [](Sight& sight, std::span<double> out) {
                                        const auto values = sight.extreme_eigenvalues(true, 1);
                                        std::copy(values.begin(), values.end(), out.begin());
                                      }};

inline constexpr Observable lowest_eigenvalue{
    .name = "lowest_eigenvalue",
    .meaning = "smallest eigenvalue of the Hessian",
    .iterative = true,
    .write = [](Sight& sight, std::span<double> out) {
      const auto values = sight.extreme_eigenvalues(false, 1);
      std::copy(values.begin(), values.end(), out.begin());
    }};

inline constexpr Observable eigenvalues{
    .name = "eigenvalues",
    .meaning = "largest eigenvalues of the Hessian, the largest first",
    .axes = {Axis::eigenvalue},
    .iterative = true,
    .write = [](Sight& sight, std::span<double> out) {
      const auto values = sight.extreme_eigenvalues(true, int(out.size()));
      std::copy(values.begin(), values.end(), out.begin());
    }};

}  // namespace deeplinear::records
