// Pack: one number of each of several runs, a SIMD lane per run; here the operations of all packs,
// and packs of one lane, which need no registers: the number of one run.
//
// Every operation acts on the lanes one by one and is rounded once per lane (multiply-add included,
// where the processor has it), so the result of a run depends neither on its lane nor on the number
// of lanes, to the bit.
#pragma once

#include "simd/precision.hpp"

namespace deeplinear {

// Where the lanes of a pack lie, and what is done with one such register:
//
//   Register, count   the type, and how many of them
//   Bits, inverse     the truth values of a comparison, and their opposite
//   Integers          as many bits, as unsigned whole numbers
//   splat(s)          s in every lane
//   fused(x, y, z)    x y + z
//   at_least, at_most the larger, or the smaller, of x and a bound; NaN stays NaN
//   any_positive      whether a lane is above zero
template <class Scalar, int Lanes>
struct Registers;

// x y + z, rounded once where the processor has the instruction.
template <class Scalar>
constexpr Scalar multiply_add(Scalar x, Scalar y, Scalar z) {
#if defined(__FMA__) || defined(__aarch64__) || defined(__CUDA_ARCH__)
  if constexpr (sizeof(Scalar) == sizeof(double)) {
    return __builtin_fma(x, y, z);
  } else {
    return __builtin_fmaf(x, y, z);
  }
#else
  return x * y + z;
#endif
}

template <class Scalar>
struct Registers<Scalar, 1> {
  using Register = Scalar;
  using Bits = bool;
  using Integers = typename Precision<Scalar>::Bits;
  static constexpr int count = 1;

  static constexpr Bits inverse(Bits bits) { return !bits; }
  static constexpr Register splat(Scalar s) { return s; }
  static constexpr Register fused(Register x, Register y, Register z) {
    return multiply_add(x, y, z);
  }
  static constexpr Register at_least(Register x, Register bound) { return x < bound ? bound : x; }
  static constexpr Register at_most(Register x, Register bound) { return bound < x ? bound : x; }
  static constexpr bool any_positive(Register x) { return x > 0; }
};

template <class P>
struct Mask;

// One scalar, half a register, or one or more registers
template <class Scalar_, int Lanes>
struct Pack {
  using Scalar = Scalar_;
  using In = Registers<Scalar, Lanes>;
  using Register = typename In::Register;
  static constexpr int lanes = Lanes;
  static constexpr int registers = In::count;
  static_assert(sizeof(Register) * registers == sizeof(Scalar) * Lanes);

  Register part[registers];

  Pack() = default;
  explicit constexpr Pack(Scalar scalar) {
    for (int i = 0; i < registers; ++i) part[i] = In::splat(scalar);
  }

  constexpr Scalar lane(int i) const { return reinterpret_cast<const Scalar*>(part)[i]; }
  constexpr void set_lane(int i, Scalar x) { reinterpret_cast<Scalar*>(part)[i] = x; }

  // The result of operation(part of each operand), register by register
  template <class Operation, class... Packs>
  static constexpr Pack map(Operation operation, const Packs&... packs) {
    Pack result;
    for (int i = 0; i < registers; ++i) result.part[i] = operation(packs.part[i]...);
    return result;
  }

  // Apart from its friend: nvcc's lambdas in friends do not see the names of the class.
  static constexpr Pack fused(const Pack& a, const Pack& b, const Pack& c) {
    return map([](auto x, auto y, auto z) { return In::fused(x, y, z); }, a, b, c);
  }

  // Friends, so that an operand may be anything that a pack can be read from.
  friend constexpr Pack operator+(const Pack& a, const Pack& b) {
    return map([](auto x, auto y) { return x + y; }, a, b);
  }
  friend constexpr Pack operator-(const Pack& a, const Pack& b) {
    return map([](auto x, auto y) { return x - y; }, a, b);
  }
  friend constexpr Pack operator*(const Pack& a, const Pack& b) {
    return map([](auto x, auto y) { return x * y; }, a, b);
  }
  friend constexpr Pack operator/(const Pack& a, const Pack& b) {
    return map([](auto x, auto y) { return x / y; }, a, b);
  }

  // a b + c, rounded once where the processor has a fused multiply-add.
  friend constexpr Pack fma(const Pack& a, const Pack& b, const Pack& c) { return fused(a, b, c); }

  // Comparisons are false where an operand is NaN.
  friend constexpr Mask<Pack> operator<(const Pack& a, const Pack& b) {
    using M = Mask<Pack>;
    return M::map([](auto x, auto y) { return x < y; }, a, b);
  }
  friend constexpr Mask<Pack> operator<=(const Pack& a, const Pack& b) {
    using M = Mask<Pack>;
    return M::map([](auto x, auto y) { return x <= y; }, a, b);
  }
};

// One truth value per lane
template <class P>
struct Mask {
  using Bits = typename P::In::Bits;

  Bits part[P::registers];

  template <class Operation, class... Operands>
  static constexpr Mask map(Operation operation, const Operands&... operands) {
    Mask result;
    for (int i = 0; i < P::registers; ++i) result.part[i] = operation(operands.part[i]...);
    return result;
  }

  friend constexpr Mask operator&(const Mask& a, const Mask& b) {
    return map([](auto x, auto y) { return x & y; }, a, b);
  }
  friend constexpr Mask operator|(const Mask& a, const Mask& b) {
    return map([](auto x, auto y) { return x | y; }, a, b);
  }
  friend constexpr Mask operator!(const Mask& a) { return a.inverse(); }
  constexpr Mask inverse() const {
    return map([](auto x) { return P::In::inverse(x); }, *this);
  }

  // a in the lanes of the mask, and b in the others
  friend constexpr P select(const Mask& mask, const P& a, const P& b) {
    return P::map([](auto m, auto x, auto y) { return m ? x : y; }, mask, a, b);
  }
};

template <class P>
constexpr P maximum(const P& a, const P& b) {
  return select(a < b, b, a);
}

// The larger, or the smaller, of x and a bound; NaN stays NaN.
template <class P>
constexpr P at_least(const P& x, typename P::Scalar bound) {
  return P::map([](auto value, auto least) { return P::In::at_least(value, least); }, x, P(bound));
}
template <class P>
constexpr P at_most(const P& x, typename P::Scalar bound) {
  return P::map([](auto value, auto most) { return P::In::at_most(value, most); }, x, P(bound));
}

template <class P>
constexpr P zero() {
  return P(typename P::Scalar(0));
}

template <class P>
constexpr bool any(const Mask<P>& mask) {
  const P flags = select(mask, P(typename P::Scalar(1)), zero<P>());
  typename P::Register most = flags.part[0];
  for (int i = 1; i < P::registers; ++i) most = most + flags.part[i];
  return P::In::any_positive(most);
}

// True in the lanes that hold a finite number.
template <class P>
constexpr Mask<P> finite(const P& a) {
  return maximum(a, zero<P>() - a) <= P(Precision<typename P::Scalar>::largest);
}

}  // namespace deeplinear
