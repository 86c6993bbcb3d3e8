// Whether an array holds finite numbers alone, by the threads of a team.
#pragma once

#include <atomic>

#include "threads/team.hpp"
#include "wide/products.hpp"

namespace deeplinear {

template <class Scalar>
inline bool all_finite(Team& team, std::ptrdiff_t size, const Scalar* x) {
  constexpr std::ptrdiff_t block = 1 << 15;
  std::atomic<bool> finite{true};
  team.run([&](Team::Member member) {
    const auto [begin, end] = member.share(int((size + block - 1) / block));
    for (int b = begin; b < end && finite.load(std::memory_order_relaxed); ++b) {
      const std::ptrdiff_t first = b * block;
      // 0 x is NaN where x is not finite.
      const Scalar* at = x + first;
      const int count = int(std::min(block, size - first));
      using V = detail::Vector<Scalar>;
      V sum[4] = {zero<V>(), zero<V>(), zero<V>(), zero<V>()};
      int i = 0;
      for (; i + 4 * V::lanes <= count; i += 4 * V::lanes) {
        for (int u = 0; u < 4; ++u) {
          sum[u] = fma(detail::load<V>(at + i + u * V::lanes), zero<V>(), sum[u]);
        }
      }
      Scalar rest = 0;
      for (; i < count; ++i) rest += Scalar(0) * at[i];
      const bool clean = !any(!deeplinear::finite(sum[0] + sum[1] + (sum[2] + sum[3])));
      if (!clean || !std::isfinite(rest)) finite.store(false, std::memory_order_relaxed);
    }
  });
  return finite.load();
}

}  // namespace deeplinear
