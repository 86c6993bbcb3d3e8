// One large linear network: its chain and its risk, at weights that are those in memory plus dyads.
#pragma once

#include "model/out_of_range.hpp"
#include "model/problem.hpp"
#include "risk/evaluator.hpp"
#include "wide/chain.hpp"

namespace deeplinear {

// What all stages of one large network have in common
template <class Scalar_>
class WideNetwork {
 public:
  using Scalar = Scalar_;
  using P = Pack<Scalar, 1>;
  using Index = Layout::Index;
  static constexpr bool by_samples = false;
  static constexpr bool in_place = true;
  static constexpr bool flushes = false;

  // |w - w*|^2 and the two parts of the test risk at the last stage
  P squared_distance() const { return risk_.squared_distance(); }
  double test_offset() const { return risk_.test_offset(); }
  P test_excess() { return risk_.test_excess(); }

 protected:
  WideNetwork(const Problem& problem, Team& team)
      : net_(problem.net), risk_(problem.risk), chain_(problem.net, team) {}

  static Scalar* numbers(P* W) { return reinterpret_cast<Scalar*>(W); }
  static const Scalar* numbers(const P* W) { return reinterpret_cast<const Scalar*>(W); }

  // The vectors of a state, (sum of all widths,), and what follows them
  const Scalar* read_vectors(const Scalar* from, Vectors<Scalar> to) const {
    copy_vectors<Scalar>(net_, Vectors<const Scalar>(from), to);
    return from + net_.coordinates;
  }
  Scalar* write_vectors(Vectors<const Scalar> from, Scalar* to) const {
    copy_vectors<Scalar>(net_, from, Vectors<Scalar>(to));
    return to + net_.coordinates;
  }

  // u and v_0; returns the excess risk
  P pull(const Scalar* W, const Dyads<Scalar>& dyads, Vectors<Scalar> u, Vectors<Scalar> v) {
    chain_.pull(W, dyads, u);
    return risk_.gradient(reinterpret_cast<P*>(u.at(net_, 0)), reinterpret_cast<P*>(v.at(net_, 0)));
  }

  // Of the pull that gave u
  RangeFailure range_failure_of(const Scalar* W, Vectors<Scalar> u, bool risk_is_finite) const {
    return deeplinear::range_failure<Scalar>(
        net_, risk_is_finite, [=](Index n) { return double(W[n]); },
        [=, this](int k, int i) { return double(u.at(net_, k)[i]); });
  }

  const Layout& net_;
  RiskEvaluator<P> risk_;
  WideChain<Scalar> chain_;
};

}  // namespace deeplinear
