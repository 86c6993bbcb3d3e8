// Sums of dyads against dense matrices: every layer, side by side or alone, onto weights or not.
#include "model/dyads.hpp"

#include <limits>
#include <vector>

#include "check.hpp"
#include "model/layout.hpp"

namespace {

using namespace deeplinear;
using namespace deeplinear::tests;

template <class Scalar>
std::vector<Scalar> some_numbers(std::ptrdiff_t size, Numbers& numbers) {
  std::vector<Scalar> array(std::size_t(size), Scalar(0));
  for (auto& x : array) x = Scalar(numbers.between(-1, 1));
  return array;
}

// Vectors of all widths, `count` of them side by side or each in memory of its own
template <class Scalar>
struct Sets {
  std::vector<std::vector<Scalar>> memory;
  std::vector<Vectors<const Scalar>> vectors;

  Sets(const Layout& net, int count, bool side_by_side, Numbers& numbers) {
    if (side_by_side) {
      memory.push_back(some_numbers<Scalar>(count * net.coordinates, numbers));
      for (int s = 0; s < count; ++s) vectors.emplace_back(memory[0].data(), count, s);
      return;
    }
    for (int s = 0; s < count; ++s) {
      memory.push_back(some_numbers<Scalar>(net.coordinates, numbers));
    }
    for (int s = 0; s < count; ++s) vectors.emplace_back(memory[std::size_t(s)].data());
  }
};

// D[i, j] = sum_s c_s u^s_i v^s_j of layer k in extended precision
template <class Scalar>
long double entry(const Layout& net, const Dyads<Scalar>& D, int k, int i, int j) {
  long double sum = 0;
  for (int s = 0; s < D.count; ++s) {
    sum += (long double)(D.coefficient[s]) * D.u[s].at(net, k)[i] * D.v[s].at(net, k - 1)[j];
  }
  return sum;
}

// A sum of count + 1 numbers of size at most one, each the product of three: rounded three times
// per dyad, at a size of count + 1 at most.
template <class Scalar>
void check_sums(const std::vector<int>& widths, int count, bool side_by_side) {
  Numbers numbers(unsigned(30 + count));
  const Layout net(widths);
  const Sets<Scalar> u(net, count, side_by_side, numbers), v(net, count, side_by_side, numbers);
  Dyads<Scalar> D;
  for (int s = 0; s < count; ++s) {
    D.add(Scalar(numbers.between(-1, 1)), u.vectors[std::size_t(s)], v.vectors[std::size_t(s)]);
  }
  const long double unit = std::numeric_limits<Scalar>::epsilon() / 2;
  const long double tolerance = 3 * (count + 1) * (count + 1) * unit;
  const auto W = some_numbers<Scalar>(net.parameters, numbers);
  auto all = W;
  D.add_to(net, all.data());
  for (int k = 1; k <= net.depth(); ++k) {
    const int rows = net.rows(k), cols = net.cols(k);
    const auto layer = D.layer(net, k);
    check(layer.count == count);
    const Scalar* const before = W.data() + net.weights[k];
    std::vector<Scalar> alone(before, before + std::ptrdiff_t(rows) * cols), written(alone),
        folded(alone);
    layer.add_to(rows, cols, alone.data());
    layer.write_to(rows, cols, written.data());
    layer.fold(rows, cols, before, folded.data());
    for (int i = 0; i < rows; ++i) {
      for (int j = 0; j < cols; ++j) {
        const std::size_t at = std::size_t(i) * std::size_t(cols) + std::size_t(j);
        const long double exact = entry(net, D, k, i, j);
        check_equal(all[std::size_t(net.weights[k]) + at], alone[at]);
        check_close(alone[at], before[at] + exact, tolerance);
        check_close(folded[at], before[at] + exact, tolerance);
        // Without dyads there is nothing to write.
        check_close(written[at], count > 0 ? exact : (long double)(before[at]), tolerance);
      }
    }
  }
}

// The vectors of every width go along, whatever lies beside them.
void check_copies() {
  Numbers numbers(31);
  const Layout net({3, 5, 2});
  const auto from = some_numbers<double>(2 * net.coordinates, numbers);
  std::vector<double> to(std::size_t(3 * net.coordinates), 7.0);
  copy_vectors(net, Vectors<const double>(from.data(), 2, 1), Vectors<double>(to.data(), 3, 2));
  for (int k = 0; k <= net.depth(); ++k) {
    for (int i = 0; i < net.widths[k]; ++i) {
      const Vectors<const double> source(from.data(), 2, 1);
      const Vectors<double> target(to.data(), 3, 2), beside(to.data(), 3, 1);
      check_equal(target.at(net, k)[i], source.at(net, k)[i]);
      check_equal(beside.at(net, k)[i], 7.0);
    }
  }
}

// Factors and vectors of runs side by side: read() takes a lane.
void check_lanes() {
  using P = Pack<double, native_lanes<double>>;
  Numbers numbers(32);
  const Layout net({2, 3, 1});
  std::vector<P, Eigen::aligned_allocator<P>> u(std::size_t(net.coordinates)), v(u.size());
  for (std::size_t i = 0; i < u.size(); ++i) {
    for (int lane = 0; lane < P::lanes; ++lane) {
      u[i].set_lane(lane, numbers.between(-1, 1));
      v[i].set_lane(lane, numbers.between(-1, 1));
    }
  }
  Dyads<P, double> D;
  D.add(0.5, Vectors<const P>(u.data()), Vectors<const P>(v.data()));
  for (int lane = 0; lane < P::lanes; ++lane) {
    std::vector<double> W(std::size_t(net.parameters), 1.0);
    D.add_to(net, W.data(), [lane](const P& x) { return x.lane(lane); });
    for (int i = 0; i < 3; ++i) {
      for (int j = 0; j < 2; ++j) {
        const double term =
            0.5 * u[std::size_t(net.vectors[1] + i)].lane(lane) * v[std::size_t(j)].lane(lane);
        check_equal(W[std::size_t(2 * i + j)], 1.0 + term);
      }
    }
  }
}

}  // namespace

int main() {
  for (const int count : {0, 1, 3, 16}) {
    for (const bool side_by_side : {false, true}) {
      check_sums<double>({3, 4, 3, 1}, count, side_by_side);
      check_sums<float>({5, 1, 17}, count, side_by_side);
    }
  }
  check_copies();
  check_lanes();
  return status();
}
