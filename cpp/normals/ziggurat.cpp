#include "normals/ziggurat.hpp"

#include <limits>

#include "simd/double_double.hpp"

namespace deeplinear {

namespace {

// exp(x) for |x| <= 8, from 2^8 times the series of x / 2^8
PreciseNumber precise_exp(double x) {
  constexpr int halvings = 8, terms = 20;
  PreciseNumber sum = precise(1), term = precise(1);
  for (int i = 1; i <= terms; ++i) {
    term = term * precise(x * (1.0 / (1 << halvings))) / precise(i);
    sum = sum + term;
  }
  for (int i = 0; i < halvings; ++i) sum = sum * sum;
  return sum;
}

// The numbers nearest to exp(x) and log(x), whatever the library's functions round to

double nearest_exp(double x) {
  return rounded(precise_exp(x));
}

// By a step of Newton: log x = l + (x exp(-l) - 1), up to the square of what l is off
double nearest_log(double x) {
  const double l = std::log(x);
  return rounded(precise(l) + (precise(x) * precise_exp(-l) - precise(1)));
}

}  // namespace

// v = x_{i+1} (f(x_i) - f(x_{i+1})), from the outermost strip inwards
Ziggurat::Ziggurat() {
  constexpr double v = 0.004928673233974652, numbers = 0x1p52;
  double x = r;
  height_[255] = nearest_exp(-0.5 * r * r);
  width_[255] = r / numbers;
  for (std::size_t i = 254; i > 0; --i) {
    const double outer = x;
    x = std::sqrt(-2 * nearest_log(v / outer + height_[i + 1]));
    height_[i] = nearest_exp(-0.5 * x * x);
    // Of this one NumPy's table has the neighbour, 0.502 units in the last place away.
    if (i == 38) height_[i] = std::nextafter(height_[i], 1.0);
    width_[i] = x / numbers;
    inner_[i + 1] = std::uint64_t(std::nearbyint(x / outer * numbers));
  }
  inner_[1] = 0;
  height_[0] = 1;
  width_[0] = v / height_[255] / numbers;
  inner_[0] = std::uint64_t(std::nearbyint(r / (v / height_[255]) * numbers));
}

const Ziggurat& Ziggurat::table() {
  static const Ziggurat once;
  return once;
}

}  // namespace deeplinear
