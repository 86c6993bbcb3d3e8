// The stages of a step of a linear network.
//
// Every stage s has its gradient as the vectors u^s, v^s, and its weights as those of the step's
// start plus dyads: W_k - h sum_j a_sj u^j_k (v^j_{k-1})^T. No stage has weights of its
// own.
#pragma once

#include "lanes/chain.hpp"
#include "risk/quadratic.hpp"
#include "rules/descent.hpp"
#include "scheme/steps.hpp"

namespace deeplinear {

// A problem as steps read it, in arrays that others own
template <class Scalar>
struct ChainProblem {
  using Real = Scalar;
  Shape net;
  QuadraticView<Scalar> risk;
  const Scalar* readout;  // p (d_L,)
};

// Of the runs of a pack; all their numbers but the weights lie at `memory`. Those that their rule
// keeps, (arrays, P), come first, then those that a step leaves to the next, if its last stage is
// the first of that.
//
// `Scarce` memory, of a device, has no room for v beside u where there is one stage: v_k is written
// where u_k has been read. Nor has its compiler time for loops unrolled for every number of dyads.
template <class P_, Rule R = Descent<P_>, class Numbers_ = P_*, bool Scarce = false>
class ChainStages {
 public:
  using P = P_;
  using Scalar = typename P::Scalar;
  using RuleOf = R;
  using Numbers = Numbers_;
  using Data = ChainProblem<Scalar>;
  static constexpr bool by_samples = false;
  static constexpr bool in_place = false;
  static constexpr int rule_arrays = R::arrays;

  // How many numbers of a run lie at `memory`
  static constexpr Index numbers(const Data& problem, const Tableau& tableau) {
    return R::arrays * problem.net.parameters + vectors(problem.net, tableau) +
           problem.risk.numbers();
  }
  // How many a step leaves to the next
  static constexpr Index carried(const Data& problem) { return 2 * problem.net.coordinates; }

  constexpr ChainStages(const Data& problem, const Tableau& tableau, Numbers memory)
      : net_(problem.net),
        readout_(problem.readout),
        tableau_(tableau),
        kept_(memory),
        vectors_(memory + R::arrays * net_.parameters),
        risk_(problem.risk, vectors_ + vectors(net_, tableau)) {
    for (int s = 0; s < tableau.stages; ++s) set_readout(s);
  }

  constexpr const Tableau& tableau() const { return tableau_; }
  constexpr R& rule() { return rule_; }
  constexpr Numbers kept() const { return kept_; }

  [[gnu::always_inline]] constexpr P start(Numbers W) {
    if (over_u(tableau_)) set_readout(0);
    return pull_stage(W, 0, {});
  }

  constexpr void descend(Numbers W, P h) {
    using Step = decltype(rule_.step(h));
    push_and_move<P>(net_, W, u(0), v(0), Move<Step, Numbers>{rule_.step(h), kept_});
  }

  constexpr P evaluate(Numbers W, int s, P h) {
    const Dyads dyads = dyads_of(tableau_.a[s], h);
    const P excess = s > 0 ? pull_stage(W, s, dyads) : zero<P>();
    push(net_, W, v(s), dyads);
    return excess;
  }

  constexpr P evaluate_at(Numbers W, int s) {
    const P excess = pull_stage(W, s, {});
    push(net_, W, v(s), Dyads{});
    return excess;
  }

  constexpr void advance(Numbers W, P h, Mask<P> mask) {
    with_rows(tableau_.b, h, [&](auto&& rows) { add_rows(net_, W, rows, mask); });
  }

  constexpr P squared_error(Numbers W, P h, P rtol, P atol) {
    P error = zero<P>();
    with_rows(tableau_.error, h,
              [&](auto&& rows) { error = deeplinear::squared_error(net_, W, rows, rtol, atol); });
    return error;
  }

  constexpr void take_over(int s, Mask<P> mask) {
    const Numbers to = u(0), from = u(s);
    for (Index i = 0; i < 2 * net_.coordinates; ++i) to[i] = select(mask, from[i], to[i]);
  }

  // w += sum_s c_s K_s of a lane, in float64
  template <class Coefficients>
  constexpr void add_to_lane(int lane, const Coefficients& c, double* w) {
    for (int k = 1; k <= net_.depth(); ++k) {
      for (int s = 0; s < tableau_.stages; ++s) {
        double* entry = w + net_.weights[k];
        for (int i = 0; i < net_.rows(k); ++i) {
          const double factor = c[s] * double(P(u(s)[net_.vectors[k] + i]).lane(lane));
          for (int j = 0; j < net_.cols(k); ++j, ++entry) {
            *entry = *entry + factor * double(P(v(s)[net_.vectors[k - 1] + j]).lane(lane));
          }
        }
      }
    }
  }

  // |w - w*|^2 and the test risk, less what is the same for every w, at the last stage
  constexpr P squared_distance() const { return risk_.squared_distance(); }
  constexpr P test_excess() { return risk_.test_excess(); }

  constexpr Numbers u(int s) const { return vectors_ + 2 * s * net_.coordinates; }
  constexpr Numbers v(int s) const { return over_u(tableau_) ? u(s) : u(s) + net_.coordinates; }

 private:
  static constexpr bool over_u(const Tableau& tableau) { return Scarce && tableau.stages == 1; }
  static constexpr Index vectors(const Shape& net, const Tableau& tableau) {
    return over_u(tableau) ? net.coordinates : 2 * tableau.stages * net.coordinates;
  }

  using Dyads = StageDyads<P, Numbers>;

  // u^s_L = p
  constexpr void set_readout(int s) {
    const int last = net_.depth();
    const Numbers top = u(s) + net_.vectors[last];
    for (int i = 0; i < net_.rows(last); ++i) top[i] = P(readout_[i]);
  }

  // Calls body with the rows of -h sum_s c_s K_s.
  template <class Coefficients, class Body>
  constexpr void with_rows(const Coefficients& c, P h, Body body) {
    const Dyads dyads = dyads_of(c, h);
    if constexpr (Scarce) return body(DyadRows<0, P, Numbers>(net_, dyads));
    with_constant(dyads.count, [&](auto count) {
      body(DyadRows<decltype(count)::value, P, Numbers>(net_, dyads));
    });
  }

  // u^s and v^s_0 at the weights W plus dyads; returns the excess risk there.
  [[gnu::always_inline]] constexpr P pull_stage(Numbers W, int s, const Dyads& dyads) {
    pull(net_, W, u(s), dyads);
    return risk_.gradient(u(s), v(s));
  }

  // -h sum_s c[s] u^s (v^s)^T
  template <class Coefficients>
  constexpr Dyads dyads_of(const Coefficients& c, P h) {
    Dyads dyads;
    for (int s = 0; s < tableau_.stages; ++s) {
      if (c[s] != 0) dyads.add(P(Scalar(-c[s])) * h, u(s), v(s));
    }
    return dyads;
  }

  const Shape& net_;
  const Scalar* readout_;
  const Tableau& tableau_;
  Numbers kept_, vectors_;
  QuadraticRisk<P, Numbers> risk_;
  R rule_;
};

}  // namespace deeplinear
