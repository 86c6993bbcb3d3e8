// Where the weights of the lanes are during a run, and where a record finds them.
#pragma once

#include <algorithm>
#include <span>
#include <type_traits>

#include "landscape/linear.hpp"
#include "simd/aligned_array.hpp"

namespace deeplinear {

// Of an ensemble: packs of their own, copied in and out
template <class Stages>
class LaneWeights {
 public:
  using P = typename Stages::P;
  using Scalar = typename P::Scalar;

  explicit LaneWeights(const Layout& net) : W_(net.parameters, zero<P>()), lane_(net.parameters) {}

  P* data() { return W_.data(); }

  // The weights of a run, or zeros
  void load(int i, const Scalar* from) {
    for (auto& w : W_) w.set_lane(i, from ? *from++ : Scalar(0));
  }
  void store(Stages&, int i, Scalar* to) const {
    for (const auto& w : W_) *to++ = w.lane(i);
  }

  Weights of_lane(Stages&, int i) {
    std::transform(W_.begin(), W_.end(), lane_.begin(),
                   [i](const P& w) { return double(w.lane(i)); });
    return {lane_.data()};
  }
  void copy(Stages&, int i, std::span<double> out) const {
    for (std::size_t n = 0; n < out.size(); ++n) out[n] = double(W_[n].lane(i));
  }
  // W + sum_s c_s K_s
  template <class Coefficients>
  Weights of_lane(Stages& stages, int i, const Coefficients& c) {
    of_lane(stages, i);
    stages.add_to_lane(i, c, lane_.data());
    return {lane_.data()};
  }

 private:
  AlignedVector<P> W_;
  AlignedVector<double> lane_;
};

// Of a single large run: the array that it came in, and dyads that wait to be added to it
template <class Stages>
  requires(Stages::in_place)
class LaneWeights<Stages> {
 public:
  using P = typename Stages::P;
  using Scalar = typename P::Scalar;

  explicit LaneWeights(const Layout& net) : net_(net) {}

  P* data() { return W_; }

  void load(int, Scalar* from) { W_ = reinterpret_cast<P*>(from); }
  void store(Stages& stages, int, Scalar*) { stages.settle(W_); }

  Weights of_lane(Stages& stages, int) { return with(stages.memory(W_), stages.dyads()); }
  // As they are in memory once all that waits is added: rounded dyad by dyad
  void copy(Stages& stages, int, std::span<double> out) const {
    const Scalar* W = stages.memory(W_);
    for (int k = 1; k <= net_.depth(); ++k) {
      const auto n = net_.weights[k];
      stages.dyads().layer(net_, k).fold(net_.rows(k), net_.cols(k), W + n, out.data() + n);
    }
  }
  template <class Coefficients>
  Weights of_lane(Stages& stages, int, const Coefficients& c) {
    return with(stages.memory(W_), stages.dyads(c));
  }

 private:
  // What is recorded is computed in float64: a run in float32 needs a copy for it.
  Weights with(const Scalar* W, const Dyads<Scalar>& dyads) {
    if constexpr (std::is_same_v<Scalar, double>) {
      return {W, dyads};
    } else {
      copy_.assign(W, W + net_.parameters);
      dyads.add_to(net_, copy_.data());
      return {copy_.data()};
    }
  }

  const Layout& net_;
  P* W_ = nullptr;
  AlignedVector<double> copy_;
};

}  // namespace deeplinear
