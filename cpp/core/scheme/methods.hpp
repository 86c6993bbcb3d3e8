// The integrators that a plan names, a line each.
#pragma once

#include "scheme/tableau.hpp"

namespace deeplinear {

struct Method {
  const char* name;
  const char* meaning;
  const Tableau* tableau;
  bool adaptive;  // chooses its steps by an error estimate
};

inline constexpr Method methods[] = {
    {"euler", "Euler's method, order 1", &tableaus::euler, false},
    {"rk4", "the classical Runge-Kutta method, order 4", &tableaus::rk4, false},
    {"dopri5", "Dormand and Prince's pair, order 5", &tableaus::dopri5, true},
};

}  // namespace deeplinear
