// A problem whose risk is a mean over samples as products of matrices read it: a row per sample.
#pragma once

#include <algorithm>
#include <vector>

#include "blocks/panels.hpp"
#include "model/problem.hpp"
#include "threads/team.hpp"

namespace deeplinear {

// X (n, d)
template <class Scalar>
Panels<Scalar> panels_of(const SampleSet& set, int d) {
  Panels<Scalar> panels(set.count(), d);
  std::vector<Scalar> row(std::size_t(d), Scalar(0));
  for (int i = 0; i < set.count(); ++i) {
    const double* const x = set.inputs.data() + Index(i) * d;
    std::transform(x, x + d, row.begin(), [](double number) { return Scalar(number); });
    panels.set_row(i, row.data());
  }
  return panels;
}

// The samples, and what the risk is made of, as long as the problem lives
template <class Scalar>
struct BlockNumbers {
  explicit BlockNumbers(const Problem& problem)
      : net(problem.net),
        activation(problem.samples.activation),
        loss(problem.samples.loss),
        samples(problem.samples.train.count()),
        inputs(panels_of<Scalar>(problem.samples.train, net.widths[0])),
        targets(problem.samples.train.targets.begin(), problem.samples.train.targets.end()),
        readout(problem.readout.begin(), problem.readout.end()),
        share(Scalar(1.0 / samples)),
        minimum(Scalar(problem.risk.minimum)) {}

  const Shape net;
  const Activation activation;
  const LossFunction loss;
  const int samples;
  const Panels<Scalar> inputs;        // X (n, d)
  const std::vector<Scalar> targets;  // y (n,)
  const std::vector<Scalar> readout;  // p (d_L,)
  const Scalar share;                 // 1/n
  const Scalar minimum;               // R(w*)
};

// A part of the samples has so many that a panel of it stays in the first-level cache.
inline constexpr int samples_in_part = 128;

// Calls body(first, count) for the parts of so many samples.
template <class Body>
void for_parts(int samples, Body body) {
  for (int first = 0; first < samples; first += samples_in_part) {
    body(first, std::min(samples_in_part, samples - first));
  }
}

// So many parts in a chunk that what is kept of the layers stays in caches, and threads meet
// rarely. Where parts are does not depend on it.
inline int samples_in_chunk(int threads) {
  return samples_in_part * std::max(threads, 2);
}

// So many in a block that two layers of it stay in the second-level cache of a thread, and its
// products read the weights rarely
template <class Scalar>
int samples_in_block(const Shape& net) {
  const int widest = *std::max_element(net.widths, net.widths + net.layers + 1);
  const Index bytes = 2 * widest * Index(sizeof(Scalar));
  return int(std::clamp<Index>((Index(1) << 20) / bytes, 16, 256) / 8 * 8);
}
// Threads have whole units of them.
inline constexpr int samples_in_unit = 8;

// Calls pass(first, last) for the blocks of a member's part of so many samples.
template <class Pass>
void for_blocks(const Team::Member& member, int samples, int block, Pass pass) {
  const Team::Range own = member.share(samples, samples_in_unit);
  for (int i = own.first; i < own.last; i += block) pass(i, std::min(i + block, own.last));
}

// The outputs of layer k, of which the last is q = W_L^T p, one row
inline int outputs_of(const Shape& net, int k) {
  return k < net.depth() ? net.rows(k) : 1;
}

// More threads would wait for each other longer than they work.
inline int most_useful_threads(const Problem& problem) {
  const double products = 6.0 * problem.samples.train.count() * double(problem.net.parameters);
  const double units = double(problem.net.coordinates) / samples_in_unit;
  return int(std::clamp(std::min(products / 2e5, units), 1.0, 1024.0));
}

}  // namespace deeplinear
