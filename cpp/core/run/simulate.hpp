// Simulation: runs of one problem, a SIMD lane per run and groups of lanes over threads, or one
// after another with the threads inside a run.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "landscape/linear.hpp"

namespace deeplinear {

enum class Method { euler, rk4, dopri5 };  // gradient descent is Euler's method

// Overflowed and underflowed: a product of the layers was out of range at the start. Of dopri5,
// max_steps: tried as many steps as it may; stiff: the step that the tolerances ask for is below
// the rounding of the time.
enum class Status : std::int32_t {
  unfinished = 0,
  completed = 1,
  converged = 2,
  diverged = 3,
  overflowed = 4,
  underflowed = 5,
  max_steps = 6,
  stiff = 7
};

// What every run does. An array has one entry per run.
struct Plan {
  Method method = Method::euler;
  std::int64_t runs = 0;
  std::vector<double> step;             // step size; of dopri5, the first to be tried
  std::vector<std::int64_t> steps;      // number of steps, not dopri5
  std::vector<double> last_step;        // size of the last of them
  double time = 0;                      // end, dopri5
  std::vector<double> rtol, atol;       // dopri5
  std::vector<std::int64_t> max_steps;  // dopri5: how many may be tried
  double every = 0;          // steps (dopri5: time) between records, 0: start and end only
  std::int64_t records = 2;  // per run, start and end included
  double tolerance = 0;      // a run stops where its excess risk is this small, 0: never
  int threads = 1;
  bool wide = false;  // one run to a team of threads, instead of a SIMD lane per run
};

// Where the records go: (runs, records) or (runs, records, per layer) arrays filled with NaN, null
// where not wanted.
struct Records {
  double* risk = nullptr;
  double* test_risk = nullptr;
  double* distance = nullptr;
  double* sharpness = nullptr;
  double* lowest_eigenvalue = nullptr;
  double* layer_norm = nullptr;
  double* rank_one_gap = nullptr;
  double* alignment = nullptr;
  double* balancedness = nullptr;

  bool any_probe() const {
    return sharpness || lowest_eigenvalue || layer_norm || rank_one_gap || alignment ||
           balancedness;
  }
};

struct Outcome {
  std::vector<Status> status;              // (runs,)
  std::vector<std::int64_t> last_step;     // (runs,) steps taken
  std::vector<std::int32_t> out_of_range;  // (runs,) the layer where it over- or underflowed, or 0
  double sharpness_residual = 0;           // largest of all records, relative to the value
  std::int64_t unconverged = 0;            // eigenvalues that missed the tolerance
  bool interrupted = false;
};

// Relative residual that recorded eigenvalues are computed to.
inline constexpr double recorded_tolerance = 1e-8;

// Called by the calling thread alone, at least four times a second, with the share of the work that
// is done; true stops the simulation.
using Monitor = std::function<bool(double)>;

// Whether a network is large enough for a team of threads to share its layers. This depends on the
// network alone, so that a run is the same whatever else runs beside it.
bool is_wide(const Layout& net);

// weights (runs, P) are advanced in place. A run that was stopped on its way is unfinished, and its
// weights are those after the steps that it took.
template <class Scalar>
Outcome simulate(const Problem& problem, const Plan& plan, Scalar* weights, const Records& records,
                 const Monitor& monitor);

}  // namespace deeplinear
