// The stages of a step of one large linear network, whose weights stay where they are.
//
// A step adds dyads to the weights, one per stage. They wait, with their vectors, and every product
// takes them into account, until a push folds several of them into the memory of the weights on its
// way: so a step of descent reads the weights twice, and writes them once in several steps. The
// push that writes folds the dyad of its own step, too, right after it has used a row.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>

#include "rules/settings.hpp"
#include "scheme/steps.hpp"
#include "wide/network.hpp"

namespace deeplinear {

template <class Scalar_>
class WideStages : public WideNetwork<Scalar_> {
  using Base = WideNetwork<Scalar_>;
  using Base::chain_;
  using Base::net_;
  using Base::numbers;
  using Base::pull;

 public:
  using typename Base::Index;
  using typename Base::P;
  using typename Base::Scalar;
  static constexpr int rule_arrays = 0;

  WideStages(const Problem& problem, const Tableau& tableau, Team& team)
      : Base(problem, team),
        tableau_(tableau),
        steps_per_write_(tableau.stages == 1 ? steps_per_write(problem.net) : 1),
        slots_(tableau.stages == 1 ? steps_per_write_ : 2 * tableau.stages),
        storage_(2 * slots_ * net_.coordinates, Scalar(0)),
        squared_norm_(net_.depth() + 1),
        squared_error_(net_.depth() + 1) {
    for (int slot = 0; slot < slots_; ++slot) {
      set_readout(problem, vectors(2 * slot).at(net_, net_.depth()));
      free_.push_back(slot);
    }
    for (int s = 0; s < tableau.stages; ++s) renew(s);
  }

  const Tableau& tableau() const { return tableau_; }

  // A run takes its place, which is one that goes on after so many steps where there is a state.
  void begin(P* W, int, const RuleSettings&, double, std::int64_t steps, const Scalar* state) {
    if (!state || state_size(net_, tableau_, steps) == 0) return;
    std::copy_n(state, net_.parameters, numbers(W));
    state += net_.parameters;
    for (int s = 0; s < waiting_after(net_, tableau_, steps); ++s) {
      const Scalar c = *state++;
      state = Base::read_vectors(state, u(0));
      state = Base::read_vectors(state, v(0));
      add_waiting(0, c);
    }
  }

  // What a run keeps beside its weights, which are those after all that waits: the weights in
  // memory and the dyads that wait. Others would round differently from there on.
  static Index state_size(const Layout& net, const Tableau& tableau, std::int64_t steps) {
    const int waiting = waiting_after(net, tableau, steps);
    return waiting == 0 ? 0 : net.parameters + waiting * (1 + 2 * net.coordinates);
  }
  void store_state(const P* W, int, Scalar* state) const {
    if (waiting_.count == 0) return;
    state = std::copy_n(numbers(W), net_.parameters, state);
    for (int s = 0; s < waiting_.count; ++s) {
      *state++ = waiting_.coefficient[s];
      state = Base::write_vectors(waiting_.u[s], state);
      state = Base::write_vectors(waiting_.v[s], state);
    }
  }

  P start(P* W) { return pull(numbers(W), waiting_, u(0), v(0)); }

  void descend(P* W, P h) {
    if (waiting_.count + 1 < steps_per_write_) {
      chain_.push(numbers(W), waiting_, v(0));
      return add_waiting(0, -h.lane(0));
    }
    waiting_.add(-h.lane(0), u(0), v(0));
    fold<Beside::product_before_last>(numbers(W), 0, Dyads<Scalar>{});
  }

  P evaluate(P* W, int s, P h) {
    Dyads<Scalar> dyads = waiting_;
    for (int j = 0; j < s; ++j) {
      if (tableau_.a[s][j] != 0) dyads.add(Scalar(-tableau_.a[s][j]) * h.lane(0), u(j), v(j));
    }
    const P excess = s > 0 ? pull(numbers(W), dyads, u(s), v(s)) : zero<P>();
    push_stage(numbers(W), s, dyads);
    return excess;
  }

  P evaluate_at(P* W, int s) {
    norms_known_ = false;  // of another run's weights
    const P excess = pull(numbers(W), waiting_, u(s), v(s));
    push_stage(numbers(W), s, waiting_);
    return excess;
  }

  void advance(P*, P h, Mask<P> mask) {
    if (!any(mask)) return;
    for (int s = 0; s < tableau_.stages; ++s) {
      if (tableau_.b[s] != 0) add_waiting(s, Scalar(-tableau_.b[s]) * h.lane(0));
    }
    norms_known_ = false;
  }

  void take_over(int s, Mask<P> mask) {
    if (any(mask)) std::swap(slot_[0], slot_[s]);
  }

  // As deeplinear::squared_error, for E = h sum_s error_s K_s with nothing waiting. |E_k| comes
  // from the triangular factors of its two sides: E_k = U diag(e) V^T = Q_u R_u diag(e) R_v^T
  // Q_v^T. They are as exact as a sum entry by entry, which Gram matrices are not.
  P squared_error(const P* W, P h, P rtol, P atol) {
    if (!norms_known_) find_norms(numbers(W));
    chain_.for_each_layer([&](int k) {
      const Triangle left = triangle(k, true), right = triangle(k - 1, false);
      Scalar sum = 0;
      for (int i = 0; i < tableau_.stages; ++i) {
        for (int j = 0; j < tableau_.stages; ++j) {
          Scalar entry = 0;
          for (int s = std::max(i, j); s < tableau_.stages; ++s) {
            entry += left[i][s] * Scalar(tableau_.error[s]) * right[j][s];
          }
          sum += entry * entry;
        }
      }
      squared_error_[k] = double(sum) * double(h.lane(0)) * double(h.lane(0));
    });
    const double r = double(rtol.lane(0)), a = double(atol.lane(0));
    double mean = 0;
    for (int k = 1; k <= net_.depth(); ++k) {
      const double size = double(net_.rows(k)) * net_.cols(k);
      mean += squared_error_[k] / (r * r * squared_norm_[k] + a * a * size);
    }
    return P(Scalar(mean / net_.depth()));
  }

  // Puts all that waits into the memory of the weights.
  void settle(P* W) {
    if (waiting_.count > 0) fold<Beside::product>(numbers(W), 0, Dyads<Scalar>{});
  }

  // The weights in memory, and what they lack: the dyads that wait, and sum_s c_s K_s
  const Scalar* memory(const P* W) const { return numbers(W); }
  Dyads<Scalar> dyads() const { return waiting_; }
  template <class Coefficients>
  Dyads<Scalar> dyads(const Coefficients& c) {
    Dyads<Scalar> all = waiting_;
    for (int s = 0; s < tableau_.stages; ++s) {
      if (c[s] != 0) all.add(Scalar(c[s]), u(s), v(s));
    }
    return all;
  }

  RangeFailure range_failure(const P* W, int, bool risk_is_finite) {
    return Base::range_failure_of(numbers(W), u(0), risk_is_finite);
  }

 private:
  using Triangle = std::array<std::array<Scalar, Tableau::capacity>, Tableau::capacity>;

  // Each step that waits is four more passes over vectors in the next one, which has two over the
  // weights; a write of the weights costs about as much as half a pass.
  static int steps_per_write(const Layout& net) {
    const double width = double(net.parameters) / double(net.coordinates);
    return width < 48 ? 1 : width < 96 ? 2 : 4;
  }

  static int waiting_after(const Layout& net, const Tableau& tableau, std::int64_t steps) {
    if (tableau.stages == 1) return int(steps % steps_per_write(net));
    const auto adds = [](double b) { return b != 0; };
    return steps > 0 ? int(std::count_if(tableau.b, tableau.b + tableau.stages, adds)) : 0;
  }

  Vectors<Scalar> vectors(int place) { return {storage_.data(), 2 * slots_, place}; }
  Vectors<Scalar> u(int s) { return vectors(2 * slot_[s]); }
  Vectors<Scalar> v(int s) { return vectors(2 * slot_[s] + 1); }

  void renew(int s) {
    slot_[s] = free_.back();
    free_.pop_back();
  }

  void add_waiting(int s, Scalar c) {
    waiting_.add(c, u(s), v(s));
    waiting_slots_.push_back(slot_[s]);
    renew(s);
  }

  // v^s; the dyads begin with those that wait, which are folded.
  void push_stage(Scalar* W, int s, const Dyads<Scalar>& dyads) {
    if (waiting_.count == 0) return chain_.push(W, dyads, v(s));
    Dyads<Scalar> others;
    for (int j = waiting_.count; j < dyads.count; ++j) {
      others.add(dyads.coefficient[j], dyads.u[j], dyads.v[j]);
    }
    if (row_squares_.empty()) return fold<Beside::product>(W, s, others);
    fold<Beside::product_and_square>(W, s, others);
    add_up_squares();
  }

  template <Beside beside>
  void fold(Scalar* W, int s, const Dyads<Scalar>& others) {
    chain_.template fold_and_push<beside>(W, waiting_, others, v(s), row_squares_.data());
    waiting_ = {};
    free_.insert(free_.end(), waiting_slots_.begin(), waiting_slots_.end());
    waiting_slots_.clear();
  }

  // |W_k|^2 of the weights in memory; from then on a fold brings them with it.
  void find_norms(const Scalar* W) {
    row_squares_.resize(net_.coordinates);
    chain_.for_each_layer([&](int k) {
      for (int i = 0; i < net_.rows(k); ++i) {
        const Scalar* row = W + net_.weights[k] + Index(i) * net_.cols(k);
        row_squares_[net_.vectors[k] + i] = wide_dot(net_.cols(k), row, row);
      }
    });
    add_up_squares();
  }

  void add_up_squares() {
    chain_.for_each_layer([&](int k) {
      const Scalar* square = row_squares_.data() + net_.vectors[k];
      squared_norm_[k] = std::accumulate(square, square + net_.rows(k), 0.0);
    });
    norms_known_ = true;
  }

  // R of the vectors u_k (or v_k) of all stages as columns, by modified Gram-Schmidt
  Triangle triangle(int k, bool of_u) {
    const int n = net_.widths[k], stages = tableau_.stages;
    AlignedVector<Scalar> columns(std::size_t(n) * stages);
    Scalar* column[Tableau::capacity];
    for (int s = 0; s < stages; ++s) {
      column[s] = columns.data() + std::size_t(n) * s;
      std::copy_n((of_u ? u(s) : v(s)).at(net_, k), n, column[s]);
    }
    Triangle R{};
    for (int i = 0; i < stages; ++i) {
      const Scalar norm = std::sqrt(wide_dot(n, column[i], column[i]));
      if (!(norm > 0)) continue;
      const int rest = stages - i - 1;
      Scalar product[Tableau::capacity];
      wide_dots(rest, n, column + i + 1, column[i], product);
      R[i][i] = norm;
      for (int j = 0; j < rest; ++j) {
        R[i][i + 1 + j] = product[j] / norm;
        const Scalar factor = -product[j] / (norm * norm);
        add_multiples(1, 0, n, &factor, column + i, column[i + 1 + j]);
      }
    }
    return R;
  }

  const Tableau& tableau_;
  const int steps_per_write_;
  const int slots_;
  AlignedVector<Scalar> storage_;  // u and v of every slot
  std::vector<int> free_, waiting_slots_;
  std::array<int, Tableau::capacity> slot_{};  // of the stages
  Dyads<Scalar> waiting_;
  bool norms_known_ = false;
  AlignedVector<Scalar> row_squares_;  // of the weights in memory, once an error was asked for
  std::vector<double> squared_norm_, squared_error_;  // of the layers, at [k]
};

static_assert(Stages<WideStages<double>> && RuledStages<WideStages<double>>);

}  // namespace deeplinear
