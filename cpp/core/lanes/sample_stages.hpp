// The stages of a step of a network whose gradients are sums over the samples, and have weights of
// their own.
#pragma once

#include "lanes/sample_gradient.hpp"
#include "rules/descent.hpp"
#include "scheme/steps.hpp"
#include "simd/aligned_array.hpp"
#include "threads/team.hpp"

namespace deeplinear {

template <class P_, Rule R = Descent<P_>>
class SampleStages {
 public:
  using P = P_;
  using Scalar = typename P::Scalar;
  using Index = Layout::Index;
  static constexpr int rule_arrays = R::arrays;
  static constexpr bool by_samples = true;
  static constexpr bool in_place = false;

  SampleStages(const Problem& problem, const Tableau& tableau, Team&)
      : net_(problem.net),
        tableau_(tableau),
        gradient_(problem),
        rule_(problem.net),
        K_(tableau.stages * net_.parameters, zero<P>()),
        stage_(tableau.stages > 1 ? net_.parameters : 0, zero<P>()) {}

  const Tableau& tableau() const { return tableau_; }

  P start(const P* W) { return gradient_(W, K(0)); }

  // The lane takes a run, which is one that goes on where there is a state.
  void begin(P*, int lane, const RuleSettings& settings, double, std::int64_t,
             const Scalar* state) {
    rule_.start(lane, settings, state);
  }
  // What a run keeps beside its weights, whatever the number of its steps
  static Layout::Index state_size(const Layout& net, const Tableau&, std::int64_t) {
    return R::arrays * net.parameters;
  }
  void store_state(const P*, int lane, Scalar* state) const { rule_.store(lane, state); }

  void descend(P* W, P h) {
    [[maybe_unused]] const typename R::Guard guard;
    const auto move = rule_.step(W, h);
    const auto factor = move.row(P(Scalar(1)));
    const P* gradient = K(0);
    for (Index i = 0; i < net_.parameters; ++i) move(W[i], factor, gradient[i]);
  }

  P evaluate(const P* W, int s, P h) {
    if (s == 0) return zero<P>();
    std::copy_n(W, net_.parameters, stage_.data());
    add_rows(net_, stage_.data(), rows_of(tableau_.a[s], h), zero<P>() < P(Scalar(1)));
    return gradient_(stage_.data(), K(s));
  }

  P evaluate_at(const P* W, int s) { return gradient_(W, K(s)); }

  void take_over(int s, Mask<P> mask) {
    P *to = K(0), *from = K(s);
    for (Index i = 0; i < net_.parameters; ++i) to[i] = select(mask, from[i], to[i]);
  }

  void advance(P* W, P h, Mask<P> mask) { add_rows(net_, W, rows_of(tableau_.b, h), mask); }

  template <class Coefficients>
  P squared_error(const P* W, const Coefficients& e, P h, P rtol, P atol) {
    return deeplinear::squared_error(net_, W, rows_of(e, h), rtol, atol);
  }

  // w += sum_s c_s K_s of lane i, in float64
  template <class Coefficients>
  void add_to_lane(int i, const Coefficients& c, double* w) {
    for (int s = 0; s < tableau_.stages; ++s) {
      for (Index n = 0; n < net_.parameters; ++n) w[n] += c[s] * double(K(s)[n].lane(i));
    }
  }

 private:
  class Rows {
   public:
    explicit Rows(const Layout& net) : net_(net) {}
    void add(P c, const P* gradient) {
      coefficient_[count_] = c;
      gradient_[count_++] = gradient;
    }
    void enter(int k) {
      layer_ = net_.weights[k];
      cols_ = net_.cols(k);
    }
    void move_to(int i) { row_ = layer_ + i * cols_; }
    P operator[](int j) const {
      P sum = coefficient_[0] * gradient_[0][row_ + j];
      for (int s = 1; s < count_; ++s) {
        sum = fma(coefficient_[s], gradient_[s][row_ + j], sum);
      }
      return sum;
    }

   private:
    const Layout& net_;
    int count_ = 0;
    P coefficient_[Tableau::capacity];
    const P* gradient_[Tableau::capacity];
    Index layer_ = 0, cols_ = 0, row_ = 0;  // offsets, and columns, of where it is
  };

  // -h sum_s c_s K_s
  template <class Coefficients>
  Rows rows_of(const Coefficients& c, P h) {
    Rows rows(net_);
    for (int s = 0; s < tableau_.stages; ++s) {
      if (c[s] != 0) rows.add(P(Scalar(-c[s])) * h, K(s));
    }
    return rows;
  }

  P* K(int s) { return K_.data() + s * net_.parameters; }

  const Layout& net_;
  const Tableau& tableau_;
  SampleGradient<P> gradient_;
  R rule_;
  AlignedVector<P> K_;      // (stages, P)
  AlignedVector<P> stage_;  // the weights of a stage (P,)
};

static_assert(Stages<SampleStages<Pack<double, 1>>>);
static_assert(RuledStages<SampleStages<Pack<double, 1>>>);

}  // namespace deeplinear
