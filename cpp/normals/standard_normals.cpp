#include "normals/standard_normals.hpp"

#include <algorithm>
#include <atomic>

#include "normals/pcg64.hpp"
#include "normals/seed_sequence.hpp"
#include "normals/ziggurat.hpp"
#include "threads/teams.hpp"

namespace deeplinear {

namespace {

// Numbers between two looks at the wish to stop, and those that are worth a thread: some 0.1 ms
constexpr std::int64_t piece = 1 << 15;

}  // namespace

void standard_normals(const std::uint64_t* seeds, std::int64_t runs, std::int64_t count,
                      double* out, int threads, Stop& stop) {
  const Ziggurat& ziggurat = Ziggurat::table();
  const std::int64_t block = std::max<std::int64_t>(1, piece / 4 / count);
  const auto useful = std::clamp<std::int64_t>(runs / block / 4, 1, threads);
  std::atomic<std::int64_t> next{0};
  with_teams(int(useful), int(useful), [&](int, Team&) {
    for (;;) {
      const std::int64_t first = next.fetch_add(block), last = std::min(first + block, runs);
      for (std::int64_t run = first; run < last; ++run) {
        Pcg64 bits{SeedSequence{seeds[run]}.state()};
        double* const row = out + run * count;
        for (std::int64_t i = 0; i < count; ++i) {
          if (i % piece == 0 && stop.poll()) return;
          row[i] = ziggurat(bits);
        }
      }
      if (last >= runs || stop.poll()) return;
    }
  });
}

}  // namespace deeplinear
