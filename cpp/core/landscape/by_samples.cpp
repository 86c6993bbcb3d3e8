#include "landscape/by_samples.hpp"

#include <algorithm>
#include <cmath>

#include "pointwise/loss.hpp"

namespace deeplinear {
namespace {

using Vector = Eigen::VectorXd;
using One = Pack<double, 1>;

// (1/n) sum_i l(f_i, y_i), f (n, 1)
double mean_loss(LossFunction loss, const Panels<double>& f, const std::vector<double>& y) {
  Vector values(f.shape().rows);
  with_loss(loss, [&]<Loss L>(L) {
    for (Eigen::Index i = 0; i < values.size(); ++i) {
      values[i] = L::value(One(*f.at(i, 0)), One(y[std::size_t(i)])).lane(0);
    }
  });
  return values.sum() / double(values.size());
}

}  // namespace

SampleLandscape::SampleLandscape(const Problem& problem, Team& team)
    : problem_(problem),
      team_(team),
      numbers_(problem),
      net_(numbers_.net),
      weights_(net_),
      direction_(net_),
      sums_(net_),
      layers_(std::size_t(net_.depth())),
      g_(numbers_.samples, 1),
      f_(numbers_.samples, 1),
      curvature_(numbers_.samples) {
  for (int k = 1; k < net_.depth(); ++k) {
    const Numbers rows(numbers_.samples, net_.rows(k));
    layer(k) = {rows, rows, rows, rows, {}, {}};
  }
}

void SampleLandscape::evaluate(const Weights& W) {
  W_ = W.values;
  team_.run([&](Team::Member member) {
    weights_.copy(member, W_, numbers_.readout.data());
    member.barrier();
    for_blocks(member, numbers_.samples, samples_in_block<double>(net_),
               [this](int first, int last) {
                 pass_forward(first, last);
                 pass_back(first, last);
               });
  });
  risk_ = mean_loss(numbers_.loss, f_, numbers_.targets);
}

void SampleLandscape::pass_forward(int first, int last) {
  const int depth = net_.depth();
  for (int k = 1; k < depth; ++k) {
    Layer& to = layer(k);
    weights_.pass_forward(k, below(k), numbers_.activation, first, last, to.A, to.slope,
                          &to.curvature);
  }
  weights_.pass_forward(depth, below(depth), numbers_.activation, first, last, f_, f_);
  with_loss(numbers_.loss, [&]<Loss L>(L) {
    for (int i = first; i < last; ++i) {
      const One output(*f_.at(i, 0)), target(numbers_.targets[std::size_t(i)]);
      *g_.at(i, 0) = L::slope(output, target).lane(0) * numbers_.share;
      curvature_[i] = L::curvature(output, target).lane(0) * numbers_.share;
    }
  });
}

void SampleLandscape::pass_back(int first, int last) {
  for (int k = net_.depth(); k > 1; --k) {
    Layer& to = layer(k - 1);
    multiply<double>(
        first, last, to.D.shape(), FromZero{},
        [&](std::ptrdiff_t at, const auto& B) {
          to.D.set(at, to.slope.get(at) * B);
          to.curvature.set(at, to.curvature.get(at) * B);
        },
        weights_.back(k, back(k)));
  }
}

bool SampleLandscape::finite() const {
  // The padding is finite where its row is.
  const auto all_finite = [](const Numbers& of) {
    return Eigen::Map<const Eigen::ArrayXd>(of.data(), of.size()).allFinite();
  };
  bool all = std::isfinite(risk_);
  for (int k = 1; k < net_.depth(); ++k) {
    all = all && all_finite(layer(k).A) && all_finite(layer(k).D);
  }
  return all;
}

void SampleLandscape::gradient(double* out) {
  team_.run([&](Team::Member member) {
    for_parts(numbers_.samples, [&](int first, int count) {
      sums_.add(member, first == 0, [&](int k, auto add) {
        add(ColumnProduct<double>{count, back(k, first), below(k, first)});
      });
    });
    member.barrier();
    sums_.write(member, numbers_.readout.data(), out);
  });
}

// H V by differentiating every line above in the direction V, written with a dot:
//
//   Z'_k = A_{k-1} V_k^T + A'_{k-1} W_k^T,   A'_k = s'(Z_k) o Z'_k,
//   q' = V_L^T p,   g' = (l''/n) o (A_{L-1} q' + A'_{L-1} q),
//   B'_{L-1} = g q'^T + g' q^T,   D'_k = s'(Z_k) o B'_k + s''(Z_k) o Z'_k o B_k,
//   B'_{k-1} = D_k V_k + D'_k W_k,
//   (H V)_k = D'_k^T A_{k-1} + D_k^T A'_{k-1},   (H V)_L = p (A_{L-1}^T g' + A'_{L-1}^T g)^T.
void SampleLandscape::hessian_vector_product(const double* V, double* out) {
  if (dg_.size() == 0) {
    dg_ = g_;
    for (int k = 1; k < net_.depth(); ++k) {
      layer(k).dA = layer(k).dD = Numbers(numbers_.samples, net_.rows(k));
    }
  }
  const double* const readout = numbers_.readout.data();
  const int most = samples_in_chunk(team_.size()), block = samples_in_block<double>(net_);
  team_.run([&](Team::Member member) {
    direction_.copy(member, V, readout);
    member.barrier();
    for (int chunk = 0; chunk < numbers_.samples; chunk += most) {
      const int size = std::min(most, numbers_.samples - chunk);
      for_blocks(member, size, block,
                 [&](int begin, int end) { differentiate(chunk + begin, chunk + end); });
      member.barrier();
      for_parts(size, [&](int part, int count) {
        const int first = chunk + part;
        sums_.add(member, first == 0, [&](int k, auto add) {
          const ColumnProduct<double> changed{count, changes_back(k, first), below(k, first)};
          if (k == 1) return add(changed);
          add(changed, ColumnProduct<double>{count, back(k, first), changes_below(k, first)});
        });
      });
    }
    member.barrier();
    sums_.write(member, readout, out);
  });
}

// A', D' and g' of some samples
void SampleLandscape::differentiate(int first, int last) {
  const int depth = net_.depth();
  const auto differentiate_forward = [&](int k, const auto& shape, auto take) {
    const auto part = direction_.forward(k, below(k));
    if (k == 1) return multiply<double>(first, last, shape, FromZero{}, take, part);
    multiply<double>(first, last, shape, FromZero{}, take, part,
                     weights_.forward(k, changes_below(k)));
  };
  for (int k = 1; k < depth; ++k) {
    Layer& to = layer(k);
    differentiate_forward(k, to.dA.shape(), [&](std::ptrdiff_t at, const auto& dZ) {
      to.dA.set(at, to.slope.get(at) * dZ);
      to.dD.set(at, to.curvature.get(at) * dZ);
    });
  }
  differentiate_forward(depth, dg_.shape(),
                        [this](std::ptrdiff_t at, const auto& df) { dg_.set(at, df); });
  for (int i = first; i < last; ++i) *dg_.at(i, 0) *= curvature_[i];
  for (int k = depth; k > 1; --k) {
    Layer& to = layer(k - 1);
    multiply<double>(
        first, last, to.dD.shape(), FromZero{},
        [&](std::ptrdiff_t at, const auto& dB) {
          to.dD.set(at, fma(to.slope.get(at), dB, to.dD.get(at)));
        },
        direction_.back(k, back(k)), weights_.back(k, changes_back(k)));
  }
}

SampleLandscape::Matrix SampleLandscape::columns(const Numbers& of, int cols) const {
  Matrix all(cols, numbers_.samples);
  for (int i = 0; i < numbers_.samples; ++i) of.get_row(i, all.col(i).data());
  return all;
}

SampleLandscape::Matrix SampleLandscape::gauss_newton_matrix() const {
  const int depth = net_.depth(), samples = numbers_.samples;
  std::vector<Matrix> delta(depth), A(depth);
  for (int k = 0; k < depth; ++k) A[k] = activations(k);
  delta[depth - 1] =
      Eigen::Map<const Vector>(numbers_.readout.data(), net_.rows(depth)).replicate(1, samples);
  for (int k = depth - 1; k >= 1; --k) {
    delta[k - 1].noalias() = weights(k + 1).transpose() * delta[k];
    delta[k - 1].array() *= columns(layer(k).slope, net_.rows(k)).array();
  }
  if (samples > net_.parameters) {
    constexpr Eigen::Index at_once = 64;
    Matrix sum = Matrix::Zero(net_.parameters, net_.parameters);
    for (Eigen::Index first = 0; first < samples; first += at_once) {
      const Matrix J = jacobian(delta, A, first, std::min<Eigen::Index>(at_once, samples - first));
      sum.selfadjointView<Eigen::Lower>().rankUpdate(J);
    }
    return sum;
  }
  Matrix gram = Matrix::Zero(samples, samples);
  for (int k = 1; k <= depth; ++k) {
    const Matrix& D = delta[k - 1];
    gram += (D.transpose() * D).cwiseProduct(A[k - 1].transpose() * A[k - 1]);
  }
  const Vector root = curvature_.cwiseSqrt();
  return root.asDiagonal() * gram * root.asDiagonal();
}

SampleLandscape::Matrix SampleLandscape::jacobian(const std::vector<Matrix>& delta,
                                                  const std::vector<Matrix>& A, Eigen::Index first,
                                                  Eigen::Index count) const {
  Matrix J(net_.parameters, count);
  for (Eigen::Index i = 0; i < count; ++i) {
    const double root = std::sqrt(curvature_[first + i]);
    for (int k = 1; k <= net_.depth(); ++k) {
      entries(J.col(i).data(), k).noalias() =
          (root * delta[k - 1].col(first + i)) * A[k - 1].col(first + i).transpose();
    }
  }
  return J;
}

double SampleLandscape::test_risk() const {
  const SampleSet& test = problem_.samples.test;
  const int depth = net_.depth(), count = test.count();
  Numbers A = panels_of<double>(test, net_.widths[0]);
  for (int k = 1; k <= depth; ++k) {
    Numbers Z(count, outputs_of(net_, k)), slope = Z;
    weights_.pass_forward(k, A.from(0), numbers_.activation, 0, count, Z, slope);
    A = std::move(Z);
  }
  return mean_loss(numbers_.loss, A, test.targets);
}

Vector SampleLandscape::end_to_end() const {
  const int depth = net_.depth();
  Vector w(net_.cols(depth));
  for (int j = 0; j < w.size(); ++j) w[j] = weights_.last(j);
  for (int k = depth - 1; k >= 1; --k) w = (weights(k).transpose() * w).eval();
  return w;
}

double SampleLandscape::squared_distance() const {
  const auto& minimizer = problem_.risk.minimizer;
  const Eigen::Map<const Vector> w(minimizer.data(), Eigen::Index(minimizer.size()));
  return (end_to_end() - w).squaredNorm();
}

}  // namespace deeplinear
