// The interface of a risk R as a function of the end-to-end map w (d,), of the runs of a pack.
//
//   gradient(w, out)    out = dR/dw; returns R less its least value
//   curvature(x, out)   out = R'' x, at the w of the last gradient
#pragma once

#include <concepts>

namespace deeplinear {

template <class R, class P>
concept MapRisk = requires(R& risk, const P* w, P* out) {
  { risk.gradient(w, out) } -> std::same_as<P>;
  risk.curvature(w, out);
};

}  // namespace deeplinear
