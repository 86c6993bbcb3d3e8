// Pack: one number of each of several runs, a SIMD lane per run.
//
// Every operation acts on the lanes one by one and is rounded once per lane (multiply-add included,
// where the processor has it), so the result of a run depends neither on its lane nor on the number
// of lanes, to the bit.
#pragma once

#include <cmath>
#include <limits>
#include <type_traits>
#include <utility>

#include <Eigen/Core>

namespace deeplinear {

// The number of lanes in one register of the SIMD level that this module is compiled for.
template <class Scalar>
inline constexpr int native_lanes = Eigen::internal::packet_traits<Scalar>::size;

namespace detail {

template <class Scalar>
using NativeRegister = typename Eigen::internal::packet_traits<Scalar>::type;

// The register of a pack: a scalar, half a native register or a whole one
template <class Scalar, int Lanes>
struct RegisterOf {
  using type = NativeRegister<Scalar>;
};
template <class Scalar>
struct RegisterOf<Scalar, 1> {
  using type = Scalar;
};
template <class Scalar, int Lanes>
  requires(Lanes > 1 && Lanes < native_lanes<Scalar>)
struct RegisterOf<Scalar, Lanes> {
  using type = typename Eigen::internal::unpacket_traits<NativeRegister<Scalar>>::half;
};

}  // namespace detail

// One scalar, half a register, or one or more registers
template <class Scalar_, int Lanes>
struct Pack {
  using Scalar = Scalar_;
  using Register = typename detail::RegisterOf<Scalar, Lanes>::type;
  static constexpr int lanes = Lanes;
  static constexpr int registers = Lanes < native_lanes<Scalar> ? 1 : Lanes / native_lanes<Scalar>;
  static_assert(sizeof(Register) * registers == sizeof(Scalar) * Lanes);

  Register part[registers];

  Pack() = default;
  explicit Pack(Scalar scalar) {
    for (int i = 0; i < registers; ++i) {
      if constexpr (Lanes == 1) {
        part[i] = scalar;
      } else {
        part[i] = Eigen::internal::pset1<Register>(scalar);
      }
    }
  }

  Scalar lane(int i) const { return reinterpret_cast<const Scalar*>(this)[i]; }
  void set_lane(int i, Scalar x) { reinterpret_cast<Scalar*>(this)[i] = x; }

  // The result of operation(part of each operand), register by register
  template <class Operation, class... Packs>
  static Pack map(Operation operation, const Packs&... packs) {
    Pack result;
    for (int i = 0; i < registers; ++i) result.part[i] = operation(packs.part[i]...);
    return result;
  }

  friend Pack operator+(const Pack& a, const Pack& b) {
    return map([](auto x, auto y) -> Register { return x + y; }, a, b);
  }
  friend Pack operator-(const Pack& a, const Pack& b) {
    return map([](auto x, auto y) -> Register { return x - y; }, a, b);
  }
  friend Pack operator*(const Pack& a, const Pack& b) {
    return map([](auto x, auto y) -> Register { return x * y; }, a, b);
  }
  friend Pack operator/(const Pack& a, const Pack& b) {
    return map([](auto x, auto y) -> Register { return x / y; }, a, b);
  }
};

// One truth value per lane
template <class P>
struct Mask {
  using Register = typename P::Register;
  using Bits = decltype(std::declval<Register>() < std::declval<Register>());

  Bits part[P::registers];

  template <class Operation, class... Operands>
  static Mask map(Operation operation, const Operands&... operands) {
    Mask result;
    for (int i = 0; i < P::registers; ++i) result.part[i] = operation(operands.part[i]...);
    return result;
  }

  friend Mask operator&(const Mask& a, const Mask& b) {
    return map([](auto x, auto y) -> Bits { return x & y; }, a, b);
  }
  friend Mask operator|(const Mask& a, const Mask& b) {
    return map([](auto x, auto y) -> Bits { return x | y; }, a, b);
  }
  friend Mask operator!(const Mask& a) {
    return map(
        [](auto x) -> Bits {
          if constexpr (P::lanes == 1) {
            return !x;
          } else {
            return ~x;
          }
        },
        a);
  }
};

// Comparisons are false where an operand is NaN.
template <class Scalar, int Lanes>
inline Mask<Pack<Scalar, Lanes>> operator<(const Pack<Scalar, Lanes>& a,
                                           const Pack<Scalar, Lanes>& b) {
  using M = Mask<Pack<Scalar, Lanes>>;
  return M::map([](auto x, auto y) -> typename M::Bits { return x < y; }, a, b);
}
template <class Scalar, int Lanes>
inline Mask<Pack<Scalar, Lanes>> operator<=(const Pack<Scalar, Lanes>& a,
                                            const Pack<Scalar, Lanes>& b) {
  using M = Mask<Pack<Scalar, Lanes>>;
  return M::map([](auto x, auto y) -> typename M::Bits { return x <= y; }, a, b);
}

// a b + c, rounded once where the processor has a fused multiply-add.
template <class Scalar, int Lanes>
inline Pack<Scalar, Lanes> fma(const Pack<Scalar, Lanes>& a, const Pack<Scalar, Lanes>& b,
                               const Pack<Scalar, Lanes>& c) {
  return Pack<Scalar, Lanes>::map(
      [](auto x, auto y, auto z) {
        if constexpr (Lanes > 1) {
          return Eigen::internal::pmadd(x, y, z);
        } else {
#if defined(__FMA__) || defined(__aarch64__)
          return std::fma(x, y, z);
#else
          return x * y + z;
#endif
        }
      },
      a, b, c);
}

template <class P>
inline P select(const Mask<P>& mask, const P& a, const P& b) {
  return P::map([](auto m, auto x, auto y) -> typename P::Register { return m ? x : y; }, mask, a,
                b);
}

template <class P>
inline P maximum(const P& a, const P& b) {
  return select(a < b, b, a);
}

// The larger, or the smaller, of x and a bound; NaN stays NaN.
template <class P>
inline P at_least(const P& x, typename P::Scalar bound) {
  return P::map(
      [](auto value, auto least) -> typename P::Register {
        if constexpr (P::lanes == 1) {
          return value < least ? least : value;
        } else {
          return Eigen::internal::pmax<typename P::Register>(value, least);
        }
      },
      x, P(bound));
}
template <class P>
inline P at_most(const P& x, typename P::Scalar bound) {
  return P::map(
      [](auto value, auto most) -> typename P::Register {
        if constexpr (P::lanes == 1) {
          return most < value ? most : value;
        } else {
          return Eigen::internal::pmin<typename P::Register>(value, most);
        }
      },
      x, P(bound));
}

template <class P>
inline P zero() {
  return P(typename P::Scalar(0));
}

template <class P>
inline bool any(const Mask<P>& mask) {
  using Scalar = typename P::Scalar;
  const P flags = select(mask, P(Scalar(1)), zero<P>());
  typename P::Register most = flags.part[0];
  for (int i = 1; i < P::registers; ++i) most = most + flags.part[i];
  if constexpr (P::lanes == 1) {
    return most > 0;
  } else {
    return Eigen::internal::predux_max(most) > Scalar(0);
  }
}

// True in the lanes that hold a finite number.
template <class P>
inline Mask<P> finite(const P& a) {
  using Scalar = typename P::Scalar;
  return maximum(a, zero<P>() - a) <= P(std::numeric_limits<Scalar>::max());
}

}  // namespace deeplinear
