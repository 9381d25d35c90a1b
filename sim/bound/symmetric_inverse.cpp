// SPDX-License-Identifier: GPL-3.0-or-later
#include "sim/bound/symmetric_inverse.hpp"

#include <cmath>

namespace latticed::sim {
namespace {

constexpr double kLeastPivot = 1e-9;

/// L of L L^T, in the lower triangle.
bool decompose(SquareMatrix& a) {
  for (std::size_t j = 0; j < a.size; ++j) {
    double pivot = a.at(j, j);
    for (std::size_t k = 0; k < j; ++k) pivot -= a.at(j, k) * a.at(j, k);
    if (!(pivot > kLeastPivot)) return false;
    a.at(j, j) = std::sqrt(pivot);
    for (std::size_t i = j + 1; i < a.size; ++i) {
      double sum = a.at(i, j);
      for (std::size_t k = 0; k < j; ++k) sum -= a.at(i, k) * a.at(j, k);
      a.at(i, j) = sum / a.at(j, j);
    }
  }
  return true;
}

/// One column of the inverse: L L^T x = e_column.
std::vector<double> solve(const SquareMatrix& l, std::size_t column) {
  std::vector<double> x(l.size, 0.0);
  x[column] = 1.0;
  for (std::size_t i = 0; i < l.size; ++i) {
    for (std::size_t k = 0; k < i; ++k) x[i] -= l.at(i, k) * x[k];
    x[i] /= l.at(i, i);
  }
  for (std::size_t i = l.size; i-- > 0;) {
    for (std::size_t k = i + 1; k < l.size; ++k) x[i] -= l.at(k, i) * x[k];
    x[i] /= l.at(i, i);
  }
  return x;
}

}  // namespace

std::optional<SquareMatrix> symmetric_inverse(const SquareMatrix& matrix) {
  SquareMatrix scaled = matrix;
  std::vector<double> scale(matrix.size);
  for (std::size_t i = 0; i < matrix.size; ++i) {
    if (!(matrix.at(i, i) > 0.0)) return std::nullopt;
    scale[i] = 1.0 / std::sqrt(matrix.at(i, i));
  }
  for (std::size_t i = 0; i < matrix.size; ++i)
    for (std::size_t j = 0; j < matrix.size; ++j) scaled.at(i, j) *= scale[i] * scale[j];
  if (!decompose(scaled)) return std::nullopt;
  SquareMatrix out(matrix.size);
  for (std::size_t j = 0; j < matrix.size; ++j) {
    const std::vector<double> column = solve(scaled, j);
    for (std::size_t i = 0; i < matrix.size; ++i) out.at(i, j) = column[i] * scale[i] * scale[j];
  }
  return out;
}

}  // namespace latticed::sim
