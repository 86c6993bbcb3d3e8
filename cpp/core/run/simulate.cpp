#include "run/simulate.hpp"

#include <algorithm>

namespace deeplinear {

// Below, the weights of several runs side by side still fit a cache, where lanes are faster; and
// layers that are hardly wider than a register give it no work along their columns.
bool is_wide(const Layout& net) {
  constexpr Layout::Index smallest = 65536, narrowest = 24;
  return net.parameters >= std::max(smallest, narrowest * net.coordinates);
}

}  // namespace deeplinear
