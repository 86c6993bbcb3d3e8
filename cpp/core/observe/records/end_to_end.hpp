// w = W_1^T .. W_L^T p (d,)
#pragma once

#include "observe/sight.hpp"

namespace deeplinear::records {

inline constexpr Observable end_to_end{.name = "end_to_end",
                                       .meaning = "end-to-end map w of the network",
                                       .axes = {Axis::input},
                                       .lacks = lacks_end_to_end_map,
                                       .write = [](Sight& sight, std::span<double> out) {
                                         sight.at_landscape([&](auto& landscape) {
                                           const auto& w = landscape.end_to_end();
                                           std::copy_n(&w[0], out.size(), out.begin());
                                         });
                                       }};

}  // namespace deeplinear::records
