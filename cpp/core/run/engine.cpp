#include "run/engine.hpp"

#include <algorithm>

#include "run/groups.hpp"

namespace deeplinear {
namespace {

// Below, the weights of several runs side by side still fit a cache, where lanes are faster; and
// layers that are hardly wider than a register give a team no work along their columns. Products
// with blocks of samples are as fast as lanes from some 64 columns on, and 1.7 times at 128.
bool is_wide(const Problem& problem) {
  constexpr Layout::Index smallest = 65536, narrowest = 24, narrowest_by_samples = 36;
  const Layout& net = problem.net;
  if (problem.by_samples()) return net.parameters >= narrowest_by_samples * net.coordinates;
  return net.parameters >= std::max(smallest, narrowest * net.coordinates);
}

const char* nothing(const Problem&) {
  return nullptr;
}

}  // namespace

std::span<const Engine> engines() {
  static constexpr Engine table[] = {
      {"wide", "the threads share the layers, or the samples, of a run", nothing, is_wide,
       run_wide<double>, run_wide<float>, wide_state_size<double>, wide_state_size<float>},
      {"ensemble", "a SIMD lane per run, and groups of lanes on the threads", nothing,
       [](const Problem&) { return true; }, run_lanes<double>, run_lanes<float>, lanes_state_size,
       lanes_state_size},
      {"emulated", "what runs on a graphics processor, played by the threads of this one", nothing,
       [](const Problem&) { return false; }, run_emulated<double>, run_emulated<float>,
       lanes_state_size, lanes_state_size},
  };
  return table;
}

Outcome run_on_device(const Problem& problem, const Plan& plan, double* weights,
                      const Records& records, Stop& stop) {
  return run_resident(problem, plan, weights, records, stop);
}

Outcome run_on_device(const Problem& problem, const Plan& plan, float* weights,
                      const Records& records, Stop& stop) {
  return run_resident(problem, plan, weights, records, stop);
}

const Engine& preferred_engine(const Problem& problem) {
  const auto all = engines();
  return *std::find_if(all.begin(), all.end(), [&](const Engine& engine) {
    return !engine.lacks(problem) && engine.prefers(problem);
  });
}

}  // namespace deeplinear
