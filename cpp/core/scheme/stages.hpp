// The interface of stages: the risk and the gradients K_s at the stages W - h sum_j a[s][j] K_j of
// a step from W, for the runs of a pack, each with its own step size h.
//
//   start(W)                the excess risk at W, from which descend and evaluate go on
//   descend(W, h)           a step by the gradient K_0 at W, after start: W -= h K_0, or a rule
//   evaluate(W, s, h)       stage s in the order of s; returns the excess risk there
//   evaluate_at(W, s)       K_s = the gradient at W; returns the excess risk
//   take_over(s, mask)      K_0 = K_s in the lanes of the mask
//   advance(W, h, mask)     W -= h sum_s b_s K_s in the lanes of the mask
//   squared_error(W, e, h, rtol, atol)   of the error estimate E = h sum_s e_s K_s, see steps.hpp
//
// by_samples: the risk is a mean over the samples; in_place: a run is advanced where its weights
// are, instead of in a lane of packs.
#pragma once

#include <concepts>

#include "scheme/tableau.hpp"
#include "simd/pack.hpp"

namespace deeplinear {

// Of one gradient a step
template <class S>
concept DescentStages = requires(S& stages, typename S::P* W, const typename S::P& h) {
  { S::by_samples } -> std::convertible_to<bool>;
  { S::in_place } -> std::convertible_to<bool>;
  { stages.start(W) } -> std::same_as<typename S::P>;
  stages.descend(W, h);
};

// Of every tableau
template <class S>
concept Stages = DescentStages<S> && requires(S& stages, typename S::P* W, const typename S::P& h,
                                              int s, const Mask<typename S::P>& mask) {
  { stages.tableau() } -> std::same_as<const Tableau&>;
  { stages.evaluate(W, s, h) } -> std::same_as<typename S::P>;
  { stages.evaluate_at(W, s) } -> std::same_as<typename S::P>;
  stages.take_over(s, mask);
  stages.advance(W, h, mask);
  { stages.squared_error(W, h, h, h) } -> std::same_as<typename S::P>;
};

}  // namespace deeplinear
