// Products of panels against sums entry by entry, to the bit, for every shape near those of panels
// and registers.
#include <vector>

#include "blocks/block_weights.hpp"
#include "check.hpp"
#include "model/layout.hpp"

namespace {

using namespace deeplinear;
using namespace deeplinear::tests;

template <class Scalar>
struct Matrix {
  int rows, cols;
  std::vector<Scalar> numbers;

  Matrix(int rows_, int cols_, Numbers& some) : rows(rows_), cols(cols_) {
    for (int n = 0; n < rows * cols; ++n) numbers.push_back(Scalar(some.between(-1, 1)));
  }
  Scalar at(int i, int j) const { return numbers[std::size_t(i * cols + j)]; }

  Panels<Scalar> panels() const {
    Panels<Scalar> all(rows, cols);
    for (int i = 0; i < rows; ++i) all.set_row(i, numbers.data() + std::ptrdiff_t(i) * cols);
    return all;
  }
};

// Rows first .. last - 1 of start + A X + B Y, and of start + C^T X, and nothing of the others
template <class Scalar>
void check_products(int rows, int depth, int cols, Numbers& some) {
  const Matrix<Scalar> A(rows, depth, some), B(rows, 3, some), C(depth, rows, some),
      X(depth, cols, some), Y(3, cols, some), start(rows, cols, some);
  const Panels<Scalar> a = A.panels(), b = B.panels(), c = C.panels(), x = X.panels(),
                       y = Y.panels();
  const int first =
                some.below((rows + rows_in_registers - 1) / rows_in_registers) * rows_in_registers,
            last = first + 1 + some.below(rows - first);
  Panels<Scalar> found = start.panels(), transposed = found, alone = found;
  const auto store_in = [](Panels<Scalar>& to) {
    return [&](std::ptrdiff_t at, const auto& sum) { to.set(at, sum); };
  };
  const auto go_on = [](const Panels<Scalar>& from) {
    return [&](std::ptrdiff_t at, const auto&) { return from.get(at); };
  };
  const RowProduct<Scalar> ax{a.from(0), x.from(0)}, by{b.from(0), y.from(0)};
  multiply<Scalar>(first, last, found.shape(), go_on(found), store_in(found), ax, by);
  multiply<Scalar>(first, last, alone.shape(), FromZero{}, store_in(alone), ax);
  multiply<Scalar>(first, last, transposed.shape(), go_on(transposed), store_in(transposed),
                   ColumnProduct<Scalar>{depth, c.from(0), x.from(0)});
  std::vector<Scalar> row(static_cast<std::size_t>(cols));
  for (int i = 0; i < rows; ++i) {
    for (int j = 0; j < cols; ++j) {
      Scalar both = start.at(i, j), one = both, of_columns = both;
      if (first <= i && i < last) {
        one = 0;
        for (int k = 0; k < depth; ++k) {
          one = multiply_add(A.at(i, k), X.at(k, j), one);
          both = multiply_add(A.at(i, k), X.at(k, j), both);
          of_columns = multiply_add(C.at(k, i), X.at(k, j), of_columns);
        }
        for (int k = 0; k < 3; ++k) both = multiply_add(B.at(i, k), Y.at(k, j), both);
      }
      check_equal(*found.at(i, j), both);
      check_equal(*alone.at(i, j), one);
      check_equal(*transposed.at(i, j), of_columns);
    }
    alone.get_row(i, row.data());
    for (int j = 0; j < cols; ++j) check_equal(row[std::size_t(j)], *alone.at(i, j));
  }
}

// Rows from another one on are those of the same matrix.
template <class Scalar>
void check_rows_from(int rows, int cols, Numbers& some) {
  const Matrix<Scalar> A(rows, cols, some);
  const Panels<Scalar> a = A.panels();
  for (int first = 0; first < rows; ++first) {
    for (int i = first; i < rows; ++i) {
      for (int j = 0; j < cols; ++j) check_equal(*a.from(first).at(i - first, j), A.at(i, j));
    }
  }
}

// A W_k^T and D W_k of a layer that is not the first, and q = W_L^T p in place of the last one
template <class Scalar>
void check_weights(int cols, int rows, Numbers& some) {
  const Layout layout({2, cols, rows, 3});
  const Shape net = layout;
  const Matrix<Scalar> first(cols, 2, some), W(rows, cols, some), last(3, rows, some),
      p(1, 3, some), A(5, cols, some), D(5, rows, some);
  std::vector<Scalar> all;
  for (const auto* layer : {&first, &W, &last}) {
    all.insert(all.end(), layer->numbers.begin(), layer->numbers.end());
  }
  BlockWeights<Scalar> weights(net);
  Team team(1);
  weights.copy(Team::Member{team, 0}, all.data(), p.numbers.data());
  const Panels<Scalar> a = A.panels(), d = D.panels();
  Panels<Scalar> forward(5, rows), back(5, cols);
  const auto store_in = [](Panels<Scalar>& to) {
    return [&](std::ptrdiff_t at, const auto& sum) { to.set(at, sum); };
  };
  multiply<Scalar>(0, 5, forward.shape(), FromZero{}, store_in(forward),
                   weights.forward(2, a.from(0)));
  multiply<Scalar>(0, 5, back.shape(), FromZero{}, store_in(back), weights.back(2, d.from(0)));
  for (int s = 0; s < 5; ++s) {
    for (int i = 0; i < rows; ++i) {
      Scalar sum = 0;
      for (int j = 0; j < cols; ++j) sum = multiply_add(A.at(s, j), W.at(i, j), sum);
      check_equal(*forward.at(s, i), sum);
    }
    for (int j = 0; j < cols; ++j) {
      Scalar sum = 0;
      for (int i = 0; i < rows; ++i) sum = multiply_add(D.at(s, i), W.at(i, j), sum);
      check_equal(*back.at(s, j), sum);
    }
  }
  for (int j = 0; j < rows; ++j) {
    Scalar q = 0;
    for (int i = 0; i < 3; ++i) q = multiply_add(p.at(0, i), last.at(i, j), q);
    check_equal(weights.last(j), q);
  }
}

template <class Scalar>
void check_all(unsigned seed) {
  Numbers some(seed);
  for (int cols = 1; cols <= 2 * panel_width<Scalar> + 3; ++cols) {
    check_products<Scalar>(1 + some.below(30), 1 + some.below(70), cols, some);
    check_products<Scalar>(1 + some.below(9), 1 + some.below(9), cols, some);
    check_rows_from<Scalar>(1 + some.below(9), cols, some);
    check_weights<Scalar>(cols, 1 + some.below(2 * panel_width<Scalar>), some);
  }
}

}  // namespace

int main() {
  check_all<double>(1);
  check_all<float>(2);
  return status();
}
