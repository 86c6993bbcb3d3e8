// Rules: what the gradient K does to the weights in a step.
//
// A rule moves one weight at a time, of every run of a pack, and knows nothing of where K comes
// from: an entry of K is a x, with x = v_j and a = u_i where K is an outer product, and a = 1 where
// it has been formed.
#pragma once

#include "simd/lane.hpp"

namespace deeplinear {

// The names of the settings that a rule reads
template <int N>
struct SettingNames {
  const char* name[N];

  constexpr const char* const* begin() const { return name; }
  constexpr const char* const* end() const { return name + N; }
};
template <>
struct SettingNames<0> {
  constexpr const char* const* begin() const { return nullptr; }
  constexpr const char* const* end() const { return nullptr; }
};

// settings         the names of the settings that it reads
// numbers          how many numbers of a run it makes of them
// read(from, to)   makes these numbers, to (numbers,) in float64
// start(lane, x)   gives the lane to a run that has these numbers, in the precision of the runs
// arrays           how many numbers per weight a run keeps from one step to the next, at first 0
// flushes          whether a step takes numbers below the smallest normal one for zero
// step(h)          the step: step(w, step.row(a), x, kept) is where the weight w moves to; kept[i]
//                  are the numbers that a run keeps of it
template <class R>
concept Rule = requires(R& rule, const R& read_only, typename R::P x, typename R::P* kept,
                        const typename R::P::Scalar* numbers) {
  R::settings.begin() != R::settings.end();
  R::numbers + R::arrays;
  R::flushes;
  rule.start(0, numbers);
  x = read_only.step(x)(x, read_only.step(x).row(x), x, kept);
};

// What a rule has that makes no numbers of a run, and keeps none
template <class P_>
struct RuleWithoutNumbers {
  using P = P_;
  static constexpr int numbers = 0, arrays = 0;
  static constexpr bool flushes = false;

  template <class Settings>
  static constexpr void read(const Settings&, double*) {}
  constexpr void start(int, const typename P::Scalar*) {}
};

// A step of a rule on the weights whose numbers are kept at `kept`, (arrays, P)
template <class Step, class Numbers>
struct Move {
  Step step;
  Numbers kept;

  template <class P>
  constexpr auto row(const P& a) const {
    return step.row(a);
  }
  // Where the n-th weight w moves to
  template <class P, class Factor>
  constexpr P operator()(Index n, const P& w, const Factor& factor, const P& x) const {
    return step(w, factor, x, kept + n);
  }
};

}  // namespace deeplinear
