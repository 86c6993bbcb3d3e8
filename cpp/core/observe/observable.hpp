// Observable: something that can be recorded of a run. Each has a file in records/ and a line in
// table.cpp, from which the bindings, Python and the tests read what there is.
#pragma once

#include <algorithm>
#include <array>
#include <span>

#include "model/problem.hpp"

namespace deeplinear {

class Sight;

// An axis that a record has beside the run and the place of the record
enum class Axis { none, layer, pair, input, parameter, singular_value, eigenvalue };

struct Observable {
  const char* name;
  const char* meaning;
  std::array<Axis, 2> axes = {};
  bool known_to_step = false;  // computed on the way of a step: it costs nothing beside
  bool iterative = false;      // has an accuracy, which it notes

  // What of a problem it needs and is not there, in words that go on from "where"; null where all
  // is there
  const char* (*lacks)(const Problem&) = [](const Problem&) -> const char* { return nullptr; };

  // Writes the numbers of one record, the last axis innermost; they are NaN before.
  void (*write)(Sight&, std::span<double>);
};

std::span<const Observable* const> observables();

// What observables of the end-to-end map lack where there is none
inline const char* lacks_end_to_end_map(const Problem& problem) {
  const bool linear = !problem.by_samples() || problem.samples.activation == Activation::identity;
  return linear ? nullptr : "the network is not linear and has no end-to-end map";
}

// The length of an axis; that of the eigenvalues is asked for.
inline Layout::Index length_of(Axis axis, const Layout& net, Layout::Index count) {
  switch (axis) {
    case Axis::none:
      return 1;
    case Axis::layer:
      return net.depth();
    case Axis::pair:
      return net.depth() - 1;
    case Axis::input:
      return net.widths[0];
    case Axis::parameter:
      return net.parameters;
    case Axis::singular_value: {
      Layout::Index most = 0;
      for (int k = 1; k <= net.depth(); ++k) {
        most = std::max<Layout::Index>(most, std::min(net.rows(k), net.cols(k)));
      }
      return most;
    }
    case Axis::eigenvalue:
      return count;
  }
  return 1;
}

inline const char* name_of(Axis axis) {
  constexpr std::array names{"", "layer", "pair", "input", "parameter", "value", "eigenvalue"};
  return names[std::size_t(axis)];
}

}  // namespace deeplinear
