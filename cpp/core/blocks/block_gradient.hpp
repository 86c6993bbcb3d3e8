// Risk and gradient of one network whose risk is a mean over samples, by products of matrices which
// the threads of a team share. Row i of every matrix belongs to sample i:
//
//   A_0 = X (n, d),   Z_k = A_{k-1} W_k^T,   A_k = s(Z_k)  (k < L),   f = A_{L-1} q,   q = W_L^T p,
//   g = l'(f, y) / n,   D_{L-1} = s'(Z_{L-1}) o g q^T,   D_{k-1} = s'(Z_{k-1}) o D_k W_k,
//   grad_k = D_k^T A_{k-1}  (k < L),   grad_L = p (A_{L-1}^T g)^T,   o entry by entry.
//
// The samples pass in chunks: forward and back each thread has some of them, of the gradients some
// rows. Every entry is one sum, from sample to sample and from column to column in their order, as
// in lanes/sample_gradient.hpp: the results are the same, to the bit.
#pragma once

#include <algorithm>
#include <vector>

#include "blocks/block_numbers.hpp"
#include "blocks/block_weights.hpp"
#include "blocks/gradient_sums.hpp"
#include "lanes/problem_numbers.hpp"
#include "pointwise/loss.hpp"
#include "threads/stop.hpp"
#include "threads/team.hpp"

namespace deeplinear {

template <class Scalar>
class ProblemNumbers<BlockNumbers<Scalar>> {
 public:
  explicit ProblemNumbers(const Problem& problem) : numbers_(problem) {}
  ProblemNumbers(const ProblemNumbers&) = delete;
  ProblemNumbers& operator=(const ProblemNumbers&) = delete;

  const BlockNumbers<Scalar>& view() const { return numbers_; }

 private:
  const BlockNumbers<Scalar> numbers_;
};

// Numbers is a pointer to packs of one lane: the weights of a run, one after another.
template <class P, class Numbers>
class BlockGradient {
 public:
  using Scalar = typename P::Scalar;
  using Data = BlockNumbers<Scalar>;

  static constexpr Index numbers(const Data&) { return 0; }

  BlockGradient(const Data& problem, Numbers)
      : problem_(problem),
        net_(problem.net),
        block_(samples_in_block<Scalar>(net_)),
        weights_(net_),
        sums_(net_),
        layers_(std::size_t(net_.depth()) + 1),
        part_(std::size_t(problem.samples + samples_at_once - 1) / samples_at_once) {}

  void share_among(Team& team) {
    team_ = &team;
    chunk_ = std::min(problem_.samples, samples_in_chunk(team.size()));
    for (int k = 1; k <= net_.depth(); ++k) {
      const Panels<Scalar> rows(chunk_, outputs_of(net_, k));
      layers_[std::size_t(k)] = {rows, rows};
    }
  }

  // From then on a gradient ends, without a result, where it is to stop.
  void watch(Stop& stop) { stop_ = &stop; }

  // G (P,) = the gradient at W (P,); returns the excess risk.
  P operator()(Numbers W, Numbers G) {
    const Scalar* const readout = problem_.readout.data();
    team_->run([&](Team::Member member) {
      weights_.copy(member, reinterpret_cast<const Scalar*>(W), readout);
      member.barrier();
      for (int first = 0; first < problem_.samples; first += chunk_) {
        const int count = std::min(chunk_, problem_.samples - first);
        for_blocks(member, count, block_, [&](int begin, int end) { pass(first, begin, end); });
        if (member.index == 0) stopped_ = stop_->poll();
        member.barrier();
        if (stopped_) break;
        for_parts(count, [&](int part, int samples) {
          sums_.add(member, first + part == 0, [&](int k, auto add) {
            add(ColumnProduct<Scalar>{samples, layer(k).D.from(part), below(k, first, part)});
          });
        });
        member.barrier();
      }
      sums_.write(member, readout, reinterpret_cast<Scalar*>(G));
    });
    P risk = zero<P>();
    for (const P& part : part_) risk = risk + part;
    return risk - P(problem_.minimum);
  }

 private:
  using Rows = PanelRows<Scalar>;

  // Of a chunk of samples; of the last layer f and g
  struct Layer {
    Panels<Scalar> A, D;  // D is s'(Z) on the way forward
  };

  Layer& layer(int k) { return layers_[std::size_t(k)]; }

  // A_{k-1}, of samples of the chunk that starts at `first`
  Rows below(int k, int first, int from = 0) {
    return k > 1 ? layer(k - 1).A.from(from) : problem_.inputs.from(first + from);
  }

  // Forward and back with samples begin .. end - 1 of the chunk that starts at `first`
  void pass(int first, int begin, int end) {
    const int depth = net_.depth();
    for (int k = 1; k <= depth; ++k) {
      weights_.pass_forward(k, below(k, first), problem_.activation, begin, end, layer(k).A,
                            layer(k).D);
    }
    find_residuals(first, begin, end);
    for (int k = depth; k > 1; --k) {
      Panels<Scalar>& D = layer(k - 1).D;
      multiply<Scalar>(
          begin, end, D.shape(), FromZero{},
          [&](std::ptrdiff_t at, const auto& B) { D.set(at, B * D.get(at)); },
          weights_.back(k, layer(k).D.from(0)));
    }
  }

  // g of the samples, and the share in the risk of every few of them
  void find_residuals(int first, int begin, int end) {
    Layer& last = layer(net_.depth());
    with_loss(problem_.loss, [&]<Loss L>(L) {
      for (int i = begin; i < end; i += samples_at_once) {
        P risk = zero<P>();
        for (int s = i; s < std::min(i + samples_at_once, end); ++s) {
          const P f(*last.A.at(s, 0)), y(problem_.targets[std::size_t(first + s)]);
          *last.D.at(s, 0) = add_loss<L>(f, y, P(problem_.share), risk).part[0];
        }
        part_[std::size_t(first + i) / samples_at_once] = risk;
      }
    });
  }

  const Data& problem_;
  const Shape& net_;
  const int block_;
  int chunk_ = 0;
  BlockWeights<Scalar> weights_;
  GradientSums<Scalar> sums_;
  std::vector<Layer> layers_;  // at [k]
  std::vector<P> part_;        // of the risk, of every few samples
  Team* team_ = nullptr;
  Stop* stop_ = &Stop::never();
  bool stopped_ = false;  // as the leader saw it in this chunk
};

}  // namespace deeplinear
