// The layout of random networks, walked layer by layer, and products that leave the range.
#include <limits>
#include <vector>

#include "check.hpp"
#include "model/layout.hpp"
#include "model/out_of_range.hpp"

namespace {

using namespace deeplinear;
using namespace deeplinear::tests;

void check_offsets(const Layout& net, const std::vector<int>& widths) {
  check(net.depth() == int(widths.size()) - 1);
  Layout::Index weights = 0, coordinates = widths[0];
  check(net.vectors[0] == 0);
  for (int k = 1; k <= net.depth(); ++k) {
    check(net.rows(k) == widths[k] && net.cols(k) == widths[k - 1]);
    check(net.weights[k] == weights && net.vectors[k] == coordinates);
    weights += Layout::Index(widths[k]) * widths[k - 1];
    coordinates += widths[k];
  }
  check(net.parameters == weights && net.coordinates == coordinates);
}

// Segments cover the layers once, in order; a square one holds equal small squares alone, and as
// many of them as there are side by side.
void check_segments(const Layout& net) {
  const auto small_square = [&](int k) {
    return net.rows(k) == net.cols(k) && net.rows(k) <= Shape::largest_square;
  };
  int next = 1;
  for (const auto& segment : net.segments) {
    check(segment.first == next && segment.first <= segment.last);
    check(segment.square == small_square(segment.first));
    check(segment.square || segment.first == segment.last);
    for (int k = segment.first; k <= segment.last; ++k) {
      check(segment.square == small_square(k) && net.rows(k) == net.rows(segment.first));
    }
    const int after = segment.last + 1;
    if (segment.square && after <= net.depth()) {
      check(!small_square(after) || net.rows(after) != net.rows(segment.last));
    }
    next = after;
  }
  check(next == net.depth() + 1);
}

void check_layouts() {
  Numbers numbers(9);
  for (int repeat = 0; repeat < 500; ++repeat) {
    std::vector<int> widths(2 + numbers.below(12));
    const int largest = repeat % 2 ? 3 : 12;
    for (int& width : widths) width = 1 + numbers.below(largest);
    const Layout net(widths);
    check_offsets(net, widths);
    check_segments(net);
  }
  // 10^10 weights: offsets need 64 bits.
  const Layout large({100000, 100000, 1});
  check(large.weights[2] == 10000000000 && large.parameters == 10000100000);
}

// A chain of width one with the weights 10^p, whose u_k are 10^(sum of the p above k)
template <class Scalar>
void check_chain(const std::vector<int>& powers) {
  const int depth = int(powers.size());
  const Layout net(std::vector<int>(depth + 1, 1));
  std::vector<int> u(depth + 1, 0);  // powers of ten
  for (int k = depth; k >= 1; --k) u[k - 1] = u[k] + powers[k - 1];
  const auto number = [&](int power) { return std::pow(10.0, power); };
  const double most = std::log10(double(std::numeric_limits<Scalar>::max())) / 2;
  const double least = std::log10(double(std::numeric_limits<Scalar>::min()));
  for (const bool risk_is_finite : {true, false}) {
    RangeFailure expected;
    for (int k = depth; k >= 1 && !expected.layer; --k) {
      if (!risk_is_finite && u[k - 1] > most)
        expected = {RangeFailure::overflow, k};
      else if (u[k - 1] < least)
        expected = {RangeFailure::underflow, k};
    }
    // Nothing is too large on the way, so the data are.
    if (!expected.layer && !risk_is_finite) expected = {RangeFailure::overflow, 1};
    const auto found = range_failure<Scalar>(
        net, risk_is_finite, [&](Layout::Index n) { return number(powers[n]); },
        [&](int k, int) { return number(u[k]); });
    check(found.kind == expected.kind && found.layer == expected.layer);
  }
}

// Powers whose products stay within double even where float ends
void check_chains() {
  Numbers numbers(10);
  for (int repeat = 0; repeat < 500; ++repeat) {
    std::vector<int> powers(1 + numbers.below(12));
    for (int& power : powers) power = numbers.below(21) - 10;
    check_chain<float>(powers);
    check_chain<double>(powers);
    std::vector<int> steep(2, repeat % 2 ? 100 : -100);
    steep.push_back(numbers.below(201) - 100);
    check_chain<double>(steep);
  }
}

// A product that is zero as it stands has lost nothing, nor has one that cancels.
void check_zeros() {
  const Layout net({2, 2, 1});
  const auto found = [&](std::vector<double> W, std::vector<double> u) {
    return range_failure<double>(
        net, true, [&](Layout::Index n) { return W[n]; },
        [&](int k, int i) { return u[net.vectors[k] + i]; });
  };
  check(found({1, 2, 3, 4, 0, 0}, {0, 0, 0, 0, 1}).kind == RangeFailure::none);
  check(found({0, 0, 0, 0, 1, 1}, {0, 0, 1, 1, 1}).kind == RangeFailure::none);
  check(found({1, -1, -1, 1, 1, 1}, {0, 0, 1, 1, 1}).kind == RangeFailure::none);
  const auto lost = found({1, 2, 3, 4, 1e-200, 1e-200}, {0, 0, 0, 0, 1e-200});
  check(lost.kind == RangeFailure::underflow && lost.layer == 2);
}

// NaN is as bad as what is too large.
void check_not_a_number() {
  const Layout net({1, 1, 1, 1});
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const auto found = range_failure<double>(
      net, false, [](Layout::Index) { return 1.0; },
      [&](int k, int) { return k == 1 ? nan : 1.0; });
  check(found.kind == RangeFailure::overflow && found.layer == 2);
}

}  // namespace

int main() {
  check_layouts();
  check_chains();
  check_zeros();
  check_not_a_number();
  return status();
}
