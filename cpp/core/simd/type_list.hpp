// A table of types, chosen from by place.
#pragma once

namespace deeplinear {

template <class... T>
struct TypeList {
  // Calls body(T{}) with the type of that place, and nothing where there is none.
  template <class Body>
  static constexpr void visit(int place, Body body) {
    int next = 0;
    (void)((next++ == place && (body(T{}), true)) || ...);
  }
};

}  // namespace deeplinear
