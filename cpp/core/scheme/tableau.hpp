// Runge-Kutta methods as data.
#pragma once

namespace deeplinear {

// An explicit Runge-Kutta method: stage s at W + h sum_j a[s][j] K_j, the step W + h sum_s b[s]
// K_s. Where it has an estimate of its error, that is h sum_s error[s] K_s.
struct Tableau {
  static constexpr int capacity = 7;
  int stages;
  double a[capacity][capacity];
  double b[capacity];
  double error[capacity];
};

namespace tableaus {

inline constexpr Tableau euler{1, {}, {1}, {}};

inline constexpr Tableau rk4{
    4, {{}, {0.5}, {0, 0.5}, {0, 0, 1}}, {1. / 6, 1. / 3, 1. / 3, 1. / 6}, {}};

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
    {35. / 384, 0, 500. / 1113, 125. / 192, -2187. / 6784, 11. / 84, 0},
    // Fifth-order minus embedded fourth-order weights
    {71. / 57600, 0, -71. / 16695, 71. / 1920, -17253. / 339200, 22. / 525, -1. / 40}};

}  // namespace tableaus

// Numbers c_s of a sum over the stages
struct StageWeights {
  double c[Tableau::capacity];

  constexpr double operator[](int s) const { return c[s]; }
};

// Weights of the continuous extension W + h sum_s b_s(theta) K_s of dopri5, fourth order (Hairer,
// Norsett and Wanner, Solving Ordinary Differential Equations I, II.6).
constexpr StageWeights dopri5_dense_weights(double theta) {
  constexpr double d[7]{-12715105075. / 11282082432,  0,
                        87487479700. / 32700410799,   -10690763975. / 1880347072,
                        701980252875. / 199316789632, -1453857185. / 822651844,
                        69997945. / 29380423};
  // y = y0 + theta (r2 + (1 - theta) (r3 + theta (r4 + (1 - theta) r5))) with
  // r2 = sum b K, r3 = K_1 - r2, r4 = r2 - K_7 - r3, r5 = sum d K
  const double rest = 1 - theta;
  StageWeights weights{};
  for (int s = 0; s < 7; ++s) {
    const double b = tableaus::dopri5.b[s];
    const double r3 = (s == 0 ? 1 : 0) - b;
    const double r4 = b - (s == 6 ? 1 : 0) - r3;
    weights.c[s] = theta * (b + rest * (r3 + theta * (r4 + rest * d[s])));
  }
  return weights;
}

}  // namespace deeplinear
