// The numbers of a problem as steps in lanes read them, in the precision of the runs.
#pragma once

#include <algorithm>
#include <vector>

#include "lanes/chain_stages.hpp"
#include "lanes/sample_gradient.hpp"
#include "model/problem.hpp"
#include "risk/evaluator.hpp"

namespace deeplinear {

// view() is good as long as this and the problem live.
template <class Data>
class ProblemNumbers;

template <class Scalar>
class ProblemNumbers<ChainProblem<Scalar>> {
 public:
  explicit ProblemNumbers(const Problem& problem)
      : risk_(problem.risk),
        readout_(problem.readout.begin(), problem.readout.end()),
        view_{problem.net, risk_.view(), readout_.data()} {}
  ProblemNumbers(const ProblemNumbers&) = delete;
  ProblemNumbers& operator=(const ProblemNumbers&) = delete;

  const ChainProblem<Scalar>& view() const { return view_; }
  double test_offset() const { return risk_.test_offset(); }

 private:
  const QuadraticNumbers<Scalar> risk_;
  const std::vector<Scalar> readout_;
  const ChainProblem<Scalar> view_;
};

template <class Scalar>
class ProblemNumbers<SampleProblem<Scalar>> {
 public:
  explicit ProblemNumbers(const Problem& problem)
      : readout_(problem.readout.begin(), problem.readout.end()) {
    constexpr int S = samples_at_once;
    const SampleSet& train = problem.samples.train;
    const Layout& net = problem.net;
    const int n = train.count(), d = net.widths[0], blocks = (n + S - 1) / S;
    inputs_.assign(std::size_t(blocks) * d * S, Scalar(0));
    targets_.assign(std::size_t(blocks) * S, Scalar(0));
    shares_.assign(std::size_t(blocks) * S, Scalar(0));
    for (int i = 0; i < n; ++i) {
      const int b = i / S, s = i % S;
      for (int j = 0; j < d; ++j) {
        inputs_[(std::size_t(b) * d + j) * S + s] = Scalar(train.inputs[std::size_t(i) * d + j]);
      }
      targets_[i] = Scalar(train.targets[i]);
      shares_[i] = Scalar(1.0 / n);
    }
    view_ = {net,
             problem.samples.activation,
             problem.samples.loss,
             blocks,
             *std::max_element(net.widths.begin(), net.widths.end()),
             inputs_.data(),
             targets_.data(),
             shares_.data(),
             readout_.data(),
             Scalar(problem.risk.minimum)};
  }
  ProblemNumbers(const ProblemNumbers&) = delete;
  ProblemNumbers& operator=(const ProblemNumbers&) = delete;

  const SampleProblem<Scalar>& view() const { return view_; }

 private:
  std::vector<Scalar> inputs_, targets_, shares_, readout_;
  SampleProblem<Scalar> view_;
};

}  // namespace deeplinear
