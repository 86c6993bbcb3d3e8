// One step of the dynamics for the runs of a pack, each with its own step size.
//
// Every stage s has its gradient as the vectors u^s, v^s, and its weights as those of the step's
// start plus rank-one terms: W_k - h sum_j a_sj u^j_k (v^j_{k-1})^T. No stage has weights of its
// own.
#pragma once

#include <array>
#include <cmath>
#include <vector>

#include "landscape.hpp"
#include "memory.hpp"

namespace deeplinear {

// An explicit Runge-Kutta method: stage s at W + h sum_j a[s][j] K_j, the step W + h sum_s b[s]
// K_s.
struct Tableau {
  static constexpr int capacity = 7;
  int stages;
  double a[capacity][capacity];
  double b[capacity];
};

inline constexpr Tableau euler{1, {}, {1}};

inline constexpr Tableau rk4{4, {{}, {0.5}, {0, 0.5}, {0, 0, 1}}, {1. / 6, 1. / 3, 1. / 3, 1. / 6}};

// Dormand and Prince, A family of embedded Runge-Kutta formulae, 1980. The seventh stage is the
// first of the next step.
inline constexpr Tableau dopri5{
    7,
    {{},
     {1. / 5},
     {3. / 40, 9. / 40},
     {44. / 45, -56. / 15, 32. / 9},
     {19372. / 6561, -25360. / 2187, 64448. / 6561, -212. / 729},
     {9017. / 3168, -355. / 33, 46732. / 5247, 49. / 176, -5103. / 18656},
     {35. / 384, 0, 500. / 1113, 125. / 192, -2187. / 6784, 11. / 84}},
    {35. / 384, 0, 500. / 1113, 125. / 192, -2187. / 6784, 11. / 84, 0}};

// Fifth-order minus embedded fourth-order weights
inline constexpr std::array<double, 7> dopri5_error{
    71. / 57600, 0, -71. / 16695, 71. / 1920, -17253. / 339200, 22. / 525, -1. / 40};

// Weights of the continuous extension W + h sum_s b_s(theta) K_s of dopri5, fourth order (Hairer,
// Norsett and Wanner, Solving Ordinary Differential Equations I, II.6).
inline std::array<double, 7> dopri5_dense_weights(double theta) {
  constexpr std::array<double, 7> d{-12715105075. / 11282082432,  0,
                                    87487479700. / 32700410799,   -10690763975. / 1880347072,
                                    701980252875. / 199316789632, -1453857185. / 822651844,
                                    69997945. / 29380423};
  // y = y0 + theta (r2 + (1 - theta) (r3 + theta (r4 + (1 - theta) r5))) with
  // r2 = sum b K, r3 = K_1 - r2, r4 = r2 - K_7 - r3, r5 = sum d K
  const double rest = 1 - theta;
  std::array<double, 7> weights{};
  for (int s = 0; s < 7; ++s) {
    const double b = dopri5.b[s];
    const double r3 = (s == 0 ? 1 : 0) - b;
    const double r4 = b - (s == 6 ? 1 : 0) - r3;
    weights[s] = theta * (b + rest * (r3 + theta * (r4 + rest * d[s])));
  }
  return weights;
}

// The stages of a step, and the rank-one terms between them.
template <class P>
class Stages {
 public:
  using Scalar = typename P::Scalar;
  static_assert(Tableau::capacity <= Corrections<P>::capacity);

  Stages(const Problem& problem, const Tableau& tableau)
      : net_(problem.net),
        tableau_(tableau),
        risk_(problem.risk),
        storage_(2 * tableau.stages * net_.coordinates, zero<P>()) {
    for (int s = 0; s < tableau.stages; ++s) set_readout(problem, u(s));
  }

  const Tableau& tableau() const { return tableau_; }
  RiskEvaluator<P>& risk() { return risk_; }
  P* u(int s) { return storage_.data() + 2 * s * net_.coordinates; }
  P* v(int s) { return u(s) + net_.coordinates; }

  // u^s and v^s_0 at the weights W plus terms; returns the excess risk there.
  P pull_stage(const P* W, int s, const Corrections<P>& terms = {}) {
    pull(net_, W, u(s), terms);
    return risk_.gradient(u(s), v(s));
  }

  // Stage s > 0, or the rest of stage 0 after pull_stage; returns the excess risk.
  P evaluate(const P* W, int s, P h) {
    const Corrections<P> terms = corrections(tableau_.a[s], h);
    const P excess = s > 0 ? pull_stage(W, s, terms) : zero<P>();
    push(net_, W, v(s), terms);
    return excess;
  }

  // -h sum_s c[s] u^s (v^s)^T
  template <class Coefficients>
  Corrections<P> corrections(const Coefficients& c, P h) {
    Corrections<P> terms;
    for (int s = 0; s < tableau_.stages; ++s) {
      if (c[s] != 0) terms.add(P(Scalar(-c[s])) * h, u(s), v(s));
    }
    return terms;
  }

  // Stage 0 takes over stage s in the lanes of the mask.
  void take_over(int s, Mask<P> mask) {
    P *to = u(0), *from = u(s);
    for (Layout::Index i = 0; i < 2 * net_.coordinates; ++i) {
      to[i] = select(mask, from[i], to[i]);
    }
  }

 private:
  const Layout& net_;
  const Tableau& tableau_;
  RiskEvaluator<P> risk_;
  AlignedVector<P> storage_;
};

// The square of the error estimate E_k = h sum_s e_s u^s_k (v^s_{k-1})^T of a dopri5 step against
// the tolerance: the mean over the layers of |E_k|^2 / (atol^2 d_k d_{k-1} + rtol^2 |W_k|^2) in the
// Frobenius norm, which no rotation of the hidden layers changes. E_k is summed entry by entry, not
// through Gram matrices: those would lose it to cancellation below 1e-8.
template <class P>
P squared_error(const Layout& net, const P* W, Stages<P>& stages, P h, P rtol, P atol) {
  using Scalar = typename P::Scalar;
  const Corrections<P> terms = stages.corrections(dopri5_error, h);
  constexpr int S = 6;  // the second stage has no share
  P mean = zero<P>();
  for (int k = 1; k <= net.depth(); ++k) {
    CorrectionRow<S, P> row(net, k, terms);
    const int rows = net.rows(k), cols = net.cols(k);
    P error = zero<P>(), norm = zero<P>();
    for (int i = 0; i < rows; ++i) {
      row.move_to(i);
      for (int j = 0; j < cols; ++j, ++W) {
        const P e = row[j];
        error = fma(e, e, error);
        norm = fma(*W, *W, norm);
      }
    }
    const P size(Scalar(double(rows) * cols));
    mean = mean + error / fma(rtol * rtol, norm, atol * atol * size);
  }
  return mean / P(Scalar(net.depth()));
}

}  // namespace deeplinear
