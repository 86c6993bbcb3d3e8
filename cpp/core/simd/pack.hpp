// Packs of several lanes, in the registers of the SIMD level that a module is compiled for.
#pragma once

#include <utility>

#include <Eigen/Core>

#include "simd/lane.hpp"

namespace deeplinear {

// The number of lanes in one register
template <class Scalar>
inline constexpr int native_lanes = Eigen::internal::packet_traits<Scalar>::size;

namespace detail {

template <class Scalar>
using NativeRegister = typename Eigen::internal::packet_traits<Scalar>::type;

// Half a native register or a whole one
template <class Scalar, bool Half>
struct RegisterOf {
  using type = NativeRegister<Scalar>;
};
template <class Scalar>
struct RegisterOf<Scalar, true> {
  using type = typename Eigen::internal::unpacket_traits<NativeRegister<Scalar>>::half;
};

}  // namespace detail

template <class Scalar, int Lanes>
struct Registers {
  using Register = typename detail::RegisterOf<Scalar, (Lanes < native_lanes<Scalar>)>::type;
  using Bits = decltype(std::declval<Register>() < std::declval<Register>());
  typedef typename Precision<Scalar>::Bits Integers __attribute__((vector_size(sizeof(Register))));
  static constexpr int count = Lanes < native_lanes<Scalar> ? 1 : Lanes / native_lanes<Scalar>;

  static Bits inverse(Bits bits) { return ~bits; }
  static Register splat(Scalar s) { return Eigen::internal::pset1<Register>(s); }
  static Register fused(Register x, Register y, Register z) {
    return Eigen::internal::pmadd(x, y, z);
  }
  static Register at_least(Register x, Register bound) {
    return Eigen::internal::pmax<Register>(x, bound);
  }
  static Register at_most(Register x, Register bound) {
    return Eigen::internal::pmin<Register>(x, bound);
  }
  static bool any_positive(Register x) { return Eigen::internal::predux_max(x) > Scalar(0); }
};

}  // namespace deeplinear
