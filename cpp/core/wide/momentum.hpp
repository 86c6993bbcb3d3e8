// Descent with momentum of one large linear network.
//
// By the recurrence of two steps (rules/momentum.hpp) the memory holds two sets of weights,
//
//   A = W_n   and   B = W_{n+1} + h a K_n, which is known before K_n is,   n even.
//
// Step n reads A twice, and its gradient waits. Step n + 1 reads B twice, to which the dyad that
// waits is added in every product, and its push writes A and B for n + 2: in two steps five reads
// and two writes, for the four reads and half a write of plain descent. An M in memory would have
// to be read or written in each product of every second step.
//
// M is h M = A - B + .. here, and so known to the rounding of the weights.
#pragma once

#include <algorithm>

#include "rules/momentum.hpp"
#include "scheme/stages.hpp"
#include "wide/momentum_rows.hpp"
#include "wide/network.hpp"

namespace deeplinear {

template <class Scalar_>
class WideMomentum : public WideNetwork<Scalar_> {
  using Base = WideNetwork<Scalar_>;
  using Base::chain_;
  using Base::net_;
  using Base::numbers;

 public:
  using typename Base::Index;
  using typename Base::P;
  using typename Base::Scalar;
  static constexpr int rule_arrays = 1;

  WideMomentum(const Problem& problem, const Tableau&, Team& team)
      : Base(problem, team), next_(net_.parameters), storage_(4 * net_.coordinates, Scalar(0)) {
    for (int s = 0; s < 2; ++s) set_readout(problem, u(s).at(net_, net_.depth()));
  }

  // A run with steps of size h takes its place, which is one that goes on after so many steps where
  // there is a state.
  void begin(P* W, int, const RuleSettings& settings, double h, std::int64_t steps,
             const Scalar* state) {
    const TwoSteps rule(settings, h);
    delta_ = Scalar(rule.delta);
    minus_decay_ = Scalar(-rule.decay);
    ratio_ = Scalar(rule.b / rule.a);
    scale_ = Scalar(-h * rule.a);
    waiting_ = {};
    if (state) return restore(numbers(W), steps, state);
    // W_1 + a h K_0 = (1 - a h d) W_0
    const auto shrink = Scalar(1 - rule.a * rule.decay);
    const Scalar* A = numbers(W);
    chain_.for_each_layer([&](int k) {
      for (Index n = net_.weights[k]; n < end(k); ++n) next_[n] = shrink * A[n];
    });
  }

  // What a run keeps beside its weights: B, and after an even step A and the dyad that waits
  static Index state_size(const Layout& net, const Tableau&, std::int64_t steps) {
    return net.parameters + (steps % 2 ? net.parameters + 2 * net.coordinates : 0);
  }
  void store_state(const P* W, int, Scalar* state) const {
    state = std::copy(next_.begin(), next_.end(), state);
    if (waiting_.count == 0) return;
    state = std::copy_n(numbers(W), net_.parameters, state);
    Base::write_vectors(waiting_.v[0], Base::write_vectors(waiting_.u[0], state));
  }

  P start(P* W) {
    const int s = waiting_.count;
    return Base::pull(memory(W), waiting_, u(s), v(s));
  }

  void descend(P* W, P) {
    if (waiting_.count == 0) {
      chain_.push(numbers(W), waiting_, v(0));
      waiting_.add(scale_, u(0), v(0));
      return;
    }
    minus_decay_ != 0 || ratio_ != 0 ? update<true>(numbers(W)) : update<false>(numbers(W));
  }

  // Puts the weights into the memory of W.
  void settle(P* W) {
    if (waiting_.count == 0) return;
    chain_.for_each_layer([&](int k) {
      waiting_.layer(net_, k).fold(net_.rows(k), net_.cols(k), next_.data() + net_.weights[k],
                                   numbers(W) + net_.weights[k]);
    });
    waiting_ = {};
  }

  // The weights in memory, and what they lack
  const Scalar* memory(const P* W) const { return waiting_.count ? next_.data() : numbers(W); }
  Dyads<Scalar> dyads() const { return waiting_; }

  RangeFailure range_failure(const P* W, int, bool risk_is_finite) {
    return Base::range_failure_of(numbers(W), u(0), risk_is_finite);
  }

 private:
  static constexpr int rows_at_once = 2;  // of both A and B: four streams

  void restore(Scalar* A, std::int64_t steps, const Scalar* state) {
    std::copy_n(state, net_.parameters, next_.data());
    if (steps % 2 == 0) return;
    state += net_.parameters;
    std::copy_n(state, net_.parameters, A);
    state += net_.parameters;
    Base::read_vectors(Base::read_vectors(state, u(0)), v(0));
    waiting_.add(scale_, u(0), v(0));
  }

  // The odd step and its push
  template <bool General>
  void update(Scalar* A) {
    Dyads<Scalar> dyads = waiting_;
    dyads.add(scale_, u(1), v(1));
    chain_.template push_through<rows_at_once>(next_.data(), waiting_, v(1), [&](int k) {
      const MomentumUpdate<Scalar> of{delta_, minus_decay_, ratio_, dyads.layer(net_, k),
                                      A - next_.data()};
      return [=, this](const auto& rows, const Scalar* x, Scalar* y, const Upcoming& next) {
        update_streams<General>(net_.cols(k), rows, of, x, y, next);
      };
    });
    waiting_ = {};
  }

  Index end(int k) const { return net_.weights[k] + Index(net_.rows(k)) * net_.cols(k); }

  Vectors<Scalar> u(int s) { return {storage_.data(), 4, 2 * s}; }
  Vectors<Scalar> v(int s) { return {storage_.data(), 4, 2 * s + 1}; }

  AlignedVector<Scalar> next_;     // B
  AlignedVector<Scalar> storage_;  // u and v of both steps
  Dyads<Scalar> waiting_;          // -h a K_n, after an even step
  Scalar delta_ = 0, minus_decay_ = 0, ratio_ = 0, scale_ = 0;
};

static_assert(DescentStages<WideMomentum<double>> && RuledStages<WideMomentum<double>>);

}  // namespace deeplinear
