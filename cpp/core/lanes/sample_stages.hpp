// The stages of a step of a network whose gradients are sums over the samples, and have weights of
// their own.
#pragma once

#include "lanes/sample_gradient.hpp"
#include "rules/descent.hpp"
#include "scheme/steps.hpp"

namespace deeplinear {

// Of the runs of a pack; all their numbers but the weights lie at `memory`. Those that their rule
// keeps, (arrays, P), come first, then those that a step leaves to the next, if its last stage is
// the first of that.
template <class P_, Rule R = Descent<P_>, class Numbers_ = P_*,
          class Gradient = SampleGradient<P_, Numbers_>>
class SampleStages {
 public:
  using P = P_;
  using Scalar = typename P::Scalar;
  using RuleOf = R;
  using Numbers = Numbers_;
  using Data = typename Gradient::Data;
  static constexpr bool by_samples = true;
  static constexpr bool in_place = false;
  static constexpr int rule_arrays = R::arrays;

  // How many numbers of a run lie at `memory`
  static constexpr Index numbers(const Data& problem, const Tableau& tableau) {
    const int sets = R::arrays + tableau.stages + (tableau.stages > 1);
    return sets * problem.net.parameters + Gradient::numbers(problem);
  }

  // How many a step leaves to the next
  static constexpr Index carried(const Data& problem) { return problem.net.parameters; }

  constexpr SampleStages(const Data& problem, const Tableau& tableau, Numbers memory)
      : net_(problem.net),
        tableau_(tableau),
        kept_(memory),
        K_(kept_ + R::arrays * net_.parameters),
        stage_(K_ + tableau.stages * net_.parameters),
        gradient_(problem, tableau.stages > 1 ? stage_ + net_.parameters : stage_) {}

  constexpr const Tableau& tableau() const { return tableau_; }
  constexpr R& rule() { return rule_; }
  constexpr Numbers kept() const { return kept_; }
  constexpr Gradient& gradient() { return gradient_; }

  constexpr P start(Numbers W) { return gradient_(W, K(0)); }

  constexpr void descend(Numbers W, P h) {
    using Step = decltype(rule_.step(h));
    const Move<Step, Numbers> move{rule_.step(h), kept_};
    const auto factor = move.row(P(Scalar(1)));
    const Numbers gradient = K(0);
    for (Index n = 0; n < net_.parameters; ++n) W[n] = move(n, P(W[n]), factor, P(gradient[n]));
  }

  constexpr P evaluate(Numbers W, int s, P h) {
    if (s == 0) return zero<P>();
    for (Index n = 0; n < net_.parameters; ++n) stage_[n] = W[n];
    add_rows(net_, stage_, rows_of(tableau_.a[s], h), zero<P>() < P(Scalar(1)));
    return gradient_(stage_, K(s));
  }

  constexpr P evaluate_at(Numbers W, int s) { return gradient_(W, K(s)); }

  constexpr void take_over(int s, Mask<P> mask) {
    const Numbers to = K(0), from = K(s);
    for (Index n = 0; n < net_.parameters; ++n) to[n] = select(mask, from[n], to[n]);
  }

  constexpr void advance(Numbers W, P h, Mask<P> mask) {
    add_rows(net_, W, rows_of(tableau_.b, h), mask);
  }

  constexpr P squared_error(Numbers W, P h, P rtol, P atol) {
    return deeplinear::squared_error(net_, W, rows_of(tableau_.error, h), rtol, atol);
  }

  // w += sum_s c_s K_s of a lane, in float64
  template <class Coefficients>
  constexpr void add_to_lane(int lane, const Coefficients& c, double* w) {
    for (int s = 0; s < tableau_.stages; ++s) {
      for (Index n = 0; n < net_.parameters; ++n) w[n] += c[s] * double(P(K(s)[n]).lane(lane));
    }
  }

 private:
  class Rows {
   public:
    explicit constexpr Rows(const Shape& net) : net_(net) {}
    constexpr void add(P c, Numbers gradient) {
      coefficient_[count_] = c;
      gradient_[count_++] = gradient;
    }
    constexpr void enter(int k) {
      layer_ = net_.weights[k];
      cols_ = net_.cols(k);
    }
    constexpr void move_to(int i) { row_ = layer_ + i * cols_; }
    constexpr P operator[](int j) const {
      P sum = coefficient_[0] * gradient_[0][row_ + j];
      for (int s = 1; s < count_; ++s) {
        sum = fma(coefficient_[s], gradient_[s][row_ + j], sum);
      }
      return sum;
    }

   private:
    const Shape& net_;
    int count_ = 0;
    P coefficient_[Tableau::capacity];
    Numbers gradient_[Tableau::capacity];
    Index layer_ = 0, cols_ = 0, row_ = 0;  // offsets, and columns, of where it is
  };

  // -h sum_s c_s K_s
  template <class Coefficients>
  constexpr Rows rows_of(const Coefficients& c, P h) {
    Rows rows(net_);
    for (int s = 0; s < tableau_.stages; ++s) {
      if (c[s] != 0) rows.add(P(Scalar(-c[s])) * h, K(s));
    }
    return rows;
  }

  constexpr Numbers K(int s) const { return K_ + s * net_.parameters; }

  const Shape& net_;
  const Tableau& tableau_;
  Numbers kept_;
  Numbers K_;      // (stages, P)
  Numbers stage_;  // the weights of a stage (P,)
  Gradient gradient_;
  R rule_;
};

}  // namespace deeplinear
