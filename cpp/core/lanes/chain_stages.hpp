// The stages of a step of a linear network.
//
// Every stage s has its gradient as the vectors u^s, v^s, and its weights as those of the step's
// start plus dyads: W_k - h sum_j a_sj u^j_k (v^j_{k-1})^T. No stage has weights of its
// own.
#pragma once

#include "lanes/chain.hpp"
#include "model/out_of_range.hpp"
#include "model/problem.hpp"
#include "risk/quadratic.hpp"
#include "rules/descent.hpp"
#include "scheme/steps.hpp"
#include "simd/aligned_array.hpp"
#include "threads/team.hpp"

namespace deeplinear {

template <class P_, Rule R = Descent<P_>>
class ChainStages {
 public:
  using P = P_;
  using Scalar = typename P::Scalar;
  static constexpr int rule_arrays = R::arrays;
  static constexpr bool by_samples = false;
  static constexpr bool in_place = false;
  static_assert(Tableau::capacity <= Dyads<P>::capacity);

  ChainStages(const Problem& problem, const Tableau& tableau, Team&)
      : net_(problem.net),
        tableau_(tableau),
        risk_(problem.risk),
        rule_(problem.net),
        storage_(2 * tableau.stages * net_.coordinates, zero<P>()) {
    for (int s = 0; s < tableau.stages; ++s) {
      set_readout(problem, u(s) + net_.vectors[net_.depth()]);
    }
  }

  const Tableau& tableau() const { return tableau_; }

  P start(const P* W) { return pull_stage(W, 0); }

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
    push_and_move(net_, W, u(0), v(0), rule_.step(W, h));
  }

  P evaluate(const P* W, int s, P h) {
    const Dyads<P> dyads = dyads_of(tableau_.a[s], h);
    const P excess = s > 0 ? pull_stage(W, s, dyads) : zero<P>();
    push(net_, W, v(s), dyads);
    return excess;
  }

  P evaluate_at(const P* W, int s) {
    const P excess = pull_stage(W, s);
    push(net_, W, v(s));
    return excess;
  }

  void advance(P* W, P h, Mask<P> mask) {
    with_rows(tableau_.b, h, [&](auto&& rows) { add_rows(net_, W, rows, mask); });
  }

  template <class Coefficients>
  P squared_error(const P* W, const Coefficients& e, P h, P rtol, P atol) {
    P error = zero<P>();
    with_rows(e, h,
              [&](auto&& rows) { error = deeplinear::squared_error(net_, W, rows, rtol, atol); });
    return error;
  }

  // w += sum_s c_s K_s of lane i, in float64
  template <class Coefficients>
  void add_to_lane(int i, const Coefficients& c, double* w) {
    Dyads<P, double> D;
    for (int s = 0; s < tableau_.stages; ++s) D.add(c[s], u(s), v(s));
    D.add_to(net_, w, [i](const P& x) { return double(x.lane(i)); });
  }

  RangeFailure range_failure(const P* W, int i, bool risk_is_finite) {
    const P* first = u(0);
    return deeplinear::range_failure<Scalar>(
        net_, risk_is_finite, [=](Layout::Index n) { return double(W[n].lane(i)); },
        [=, this](int k, int j) { return double(first[net_.vectors[k] + j].lane(i)); });
  }

  // |w - w*|^2 and the two parts of the test risk at the last stage
  P squared_distance() const { return risk_.squared_distance(); }
  double test_offset() const { return risk_.test_offset(); }
  P test_excess() { return risk_.test_excess(); }

  void take_over(int s, Mask<P> mask) {
    P *to = u(0), *from = u(s);
    for (Layout::Index i = 0; i < 2 * net_.coordinates; ++i) {
      to[i] = select(mask, from[i], to[i]);
    }
  }

 private:
  // Calls body with the rows of -h sum_s c_s K_s.
  template <class Coefficients, class Body>
  void with_rows(const Coefficients& c, P h, Body body) {
    const Dyads<P> dyads = dyads_of(c, h);
    with_constant(dyads.count,
                  [&](auto count) { body(DyadRows<decltype(count)::value, P>(net_, dyads)); });
  }

  P* u(int s) { return storage_.data() + 2 * s * net_.coordinates; }
  P* v(int s) { return u(s) + net_.coordinates; }

  // u^s and v^s_0 at the weights W plus dyads; returns the excess risk there.
  P pull_stage(const P* W, int s, const Dyads<P>& dyads = {}) {
    pull(net_, W, u(s), dyads);
    return risk_.gradient(u(s), v(s));
  }

  // -h sum_s c[s] u^s (v^s)^T
  template <class Coefficients>
  Dyads<P> dyads_of(const Coefficients& c, P h) {
    Dyads<P> dyads;
    for (int s = 0; s < tableau_.stages; ++s) {
      if (c[s] != 0) dyads.add(P(Scalar(-c[s])) * h, u(s), v(s));
    }
    return dyads;
  }

  const Layout& net_;
  const Tableau& tableau_;
  RiskEvaluator<P> risk_;
  R rule_;
  AlignedVector<P> storage_;
};

static_assert(Stages<ChainStages<Pack<double, 1>>>);
static_assert(RuledStages<ChainStages<Pack<double, 1>>>);

}  // namespace deeplinear
