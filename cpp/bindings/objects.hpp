// Problems and directions as arguments: those alone whose __init__ has run, and of this module.
//
// pybind11 makes room for the value of an object without one and goes on with what lies there; and
// it takes objects of another level's module, which aligns its memory in another way.
#pragma once

#include <string>

#include <pybind11/pybind11.h>

#include "hessian/extremes.hpp"
#include "landscape/linear.hpp"

namespace pybind11::detail {

template <class T>
struct initialized_caster : type_caster_base<T> {
  bool load(handle source, bool convert) {
    if (!isinstance<T>(source)) return false;
    auto* const object = reinterpret_cast<instance*>(source.ptr());
    if (!object->get_value_and_holder(this->typeinfo).holder_constructed()) {
      throw type_error(std::string("the __init__ of a ") + Py_TYPE(source.ptr())->tp_name +
                       " has not run");
    }
    return type_caster_base<T>::load(source, convert);
  }
};

template <>
struct type_caster<deeplinear::Problem> : initialized_caster<deeplinear::Problem> {};
template <>
struct type_caster<deeplinear::Direction> : initialized_caster<deeplinear::Direction> {};

}  // namespace pybind11::detail
