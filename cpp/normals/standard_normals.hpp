// The normal numbers that NumPy draws from seeds, by the threads of a team.
#pragma once

#include <cstdint>

#include "threads/stop.hpp"

namespace deeplinear {

// out (runs, count), row by row: of each seed the numbers of
// default_rng(SeedSequence(seed, spawn_key=(0,))).standard_normal(count), to the bit where the
// library's exp and log1p are those of NumPy. Ends early where it is asked to.
void standard_normals(const std::uint64_t* seeds, std::int64_t runs, std::int64_t count,
                      double* out, int threads, Stop& stop);

}  // namespace deeplinear
