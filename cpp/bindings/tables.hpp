// The core's tables of names, as Python reads them.
#pragma once

#include <algorithm>
#include <array>
#include <span>
#include <string>

#include "arrays.hpp"
#include "observe/observable.hpp"
#include "pointwise/activation.hpp"
#include "pointwise/loss.hpp"

namespace deeplinear::bindings {

// The names of a list of types
template <class List>
constexpr auto names_of() {
  return []<class... T>(TypeList<T...>) {
    return std::array<const char*, sizeof...(T)>{T::name...};
  }(List{});
}

// The place of a name in a list of types
template <class List>
std::size_t index_of(const std::string& name, const char* argument) {
  constexpr auto names = names_of<List>();
  std::size_t i = 0;
  while (i < names.size() && name != names[i]) ++i;
  require(i < names.size(), argument, "is unknown");
  return i;
}

// The entry of that name; of entries that have one
template <class Table>
const auto& entry_of(const Table& table, const std::string& name, const char* argument) {
  const auto found = std::find_if(std::begin(table), std::end(table),
                                  [&](const auto& entry) { return name == entry.name; });
  require(found != std::end(table), argument, "has an unknown name");
  return *found;
}

inline const Observable& observable_of(const std::string& name) {
  for (const Observable* one : observables()) {
    if (name == one->name) return *one;
  }
  throw std::invalid_argument("record has an unknown name");
}

}  // namespace deeplinear::bindings
