#include "simulation.hpp"

namespace deeplinear {

// Below, the lanes of an ensemble are faster for many runs, and a single run takes microseconds.
bool is_wide(const Layout& net) {
  return net.parameters >= 65536;
}

}  // namespace deeplinear
