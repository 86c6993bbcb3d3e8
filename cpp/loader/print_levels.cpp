// Run by the build, to find the level of the machine that it is on.
#include <cstdio>

#include "levels.hpp"

int main() {
  const auto levels = deeplinear::loader::supported_levels();
  for (std::size_t i = 0; i < levels.count; ++i) std::puts(levels.names[i]);
  return 0;
}
