// Pack: one number of each of several runs, a SIMD lane per run.
//
// Every operation acts on the lanes one by one and is rounded once per lane (multiply-add included,
// where the processor has it), so the result of a run depends neither on its lane nor on the number
// of lanes, to the bit.
#pragma once

#include <cmath>
#include <limits>
#include <type_traits>
#include <vector>

#include <Eigen/Core>

namespace deeplinear {

// The number of lanes in one register of the SIMD level that this module is compiled for.
template <class Scalar>
inline constexpr int native_lanes = Eigen::internal::packet_traits<Scalar>::size;

template <class Scalar_, int Lanes>
struct Pack {
  using Scalar = Scalar_;
  using Register =
      std::conditional_t<Lanes == 1, Scalar, typename Eigen::internal::packet_traits<Scalar>::type>;
  static constexpr int lanes = Lanes;
  static_assert(Lanes == 1 || Lanes == native_lanes<Scalar>);

  Register value;

  Pack() = default;
  explicit Pack(Register register_) : value(register_) {}
  explicit Pack(Scalar scalar)
    requires(Lanes > 1)
      : value(Eigen::internal::pset1<Register>(scalar)) {}

  Scalar lane(int i) const { return reinterpret_cast<const Scalar*>(this)[i]; }
  void set_lane(int i, Scalar x) { reinterpret_cast<Scalar*>(this)[i] = x; }

  friend Pack operator+(Pack a, Pack b) { return Pack(Register(a.value + b.value)); }
  friend Pack operator-(Pack a, Pack b) { return Pack(Register(a.value - b.value)); }
  friend Pack operator*(Pack a, Pack b) { return Pack(Register(a.value * b.value)); }
  friend Pack operator/(Pack a, Pack b) { return Pack(Register(a.value / b.value)); }

  // Comparisons give a mask: one truth value per lane, false where an operand is NaN.
  friend auto operator<=(Pack a, Pack b) { return a.value <= b.value; }
  friend auto operator<(Pack a, Pack b) { return a.value < b.value; }
};

// Memory whose alignment does not vary: the order in which Eigen sums depends on it.
template <class T>
using AlignedVector = std::vector<T, Eigen::aligned_allocator<T>>;

template <class P>
using Mask = decltype(std::declval<P>() <= std::declval<P>());

// a b + c, rounded once where the processor has a fused multiply-add.
template <class Scalar, int Lanes>
inline Pack<Scalar, Lanes> fma(Pack<Scalar, Lanes> a, Pack<Scalar, Lanes> b,
                               Pack<Scalar, Lanes> c) {
  using P = Pack<Scalar, Lanes>;
  if constexpr (Lanes > 1) {
    return P(Eigen::internal::pmadd(a.value, b.value, c.value));
  } else {
#if defined(__FMA__) || defined(__aarch64__)
    return P(std::fma(a.value, b.value, c.value));
#else
    return P(a.value * b.value + c.value);
#endif
  }
}

template <class P>
inline P select(Mask<P> mask, P a, P b) {
  return P(typename P::Register(mask ? a.value : b.value));
}

template <class P>
inline Mask<P> invert(Mask<P> mask) {
  if constexpr (P::lanes == 1) {
    return !mask;
  } else {
    return ~mask;
  }
}

template <class P>
inline P maximum(P a, P b) {
  return select<P>(a < b, b, a);
}

template <class Scalar, int Lanes>
inline Pack<Scalar, Lanes> sqrt(Pack<Scalar, Lanes> a) {
  using P = Pack<Scalar, Lanes>;
  if constexpr (Lanes == 1) {
    return P(std::sqrt(a.value));
  } else {
    P root;
    for (int i = 0; i < Lanes; ++i) root.set_lane(i, std::sqrt(a.lane(i)));
    return root;
  }
}

template <class P>
inline P zero() {
  return P(typename P::Scalar(0));
}

template <class P>
inline bool any(Mask<P> mask) {
  using Scalar = typename P::Scalar;
  const P flags = select<P>(mask, P(Scalar(1)), zero<P>());
  if constexpr (P::lanes == 1) {
    return flags.value > 0;
  } else {
    return Eigen::internal::predux_max(flags.value) > Scalar(0);
  }
}

// True in the lanes that hold a finite number.
template <class P>
inline Mask<P> finite(P a) {
  using Scalar = typename P::Scalar;
  const P largest(std::numeric_limits<Scalar>::max());
  return maximum(a, zero<P>() - a) <= largest;
}

}  // namespace deeplinear
