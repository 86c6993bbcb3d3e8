// Objects of the core as arguments: those alone whose __init__ has run, and of this module.
//
// pybind11 makes room for the value of an object without one and goes on with what lies there; and
// it takes objects of another level's module, which aligns its memory in another way.
#pragma once

#include <string>

#include <pybind11/pybind11.h>

#include "bindings.hpp"
#include "hessian/extremes.hpp"
#include "model/problem.hpp"
#include "run/plan.hpp"

namespace deeplinear::bindings {

// pybind11 has a pickle of its own at the protocols 0 and 1, which ends the process.
template <class T>
void refuse_pickle(py::class_<T>& bound, const char* instead) {
  bound.def(
      "__reduce_ex__",
      [instead](const py::object& self, const py::object&) -> py::object {
        const std::string name = py::str(py::type::of(self).attr("__name__"));
        throw py::type_error("a " + name + " cannot be pickled; its " + instead + " can.");
      },
      py::arg("protocol"));
}

}  // namespace deeplinear::bindings

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
struct type_caster<deeplinear::Modes> : initialized_caster<deeplinear::Modes> {};
template <>
struct type_caster<deeplinear::TestRisk> : initialized_caster<deeplinear::TestRisk> {};
template <>
struct type_caster<deeplinear::Risk> : initialized_caster<deeplinear::Risk> {};
template <>
struct type_caster<deeplinear::SampleSet> : initialized_caster<deeplinear::SampleSet> {};
template <>
struct type_caster<deeplinear::Samples> : initialized_caster<deeplinear::Samples> {};
template <>
struct type_caster<deeplinear::Problem> : initialized_caster<deeplinear::Problem> {};
template <>
struct type_caster<deeplinear::Direction> : initialized_caster<deeplinear::Direction> {};
template <>
struct type_caster<deeplinear::Fixed> : initialized_caster<deeplinear::Fixed> {};
template <>
struct type_caster<deeplinear::Adaptive> : initialized_caster<deeplinear::Adaptive> {};
template <>
struct type_caster<deeplinear::Plan> : initialized_caster<deeplinear::Plan> {};

}  // namespace pybind11::detail
