// SPDX-License-Identifier: GPL-3.0-or-later
// The inverse of a symmetric positive definite matrix: of a Fisher information, the least
// covariance an unbiased estimator can have (Rao 1945, Cramér 1946).
#pragma once

#include <optional>
#include <vector>

namespace latticed::sim {

/// Square, stored by rows.
struct SquareMatrix {
  explicit SquareMatrix(std::size_t n) : size(n), values(n * n, 0.0) {}
  [[nodiscard]] double& at(std::size_t row, std::size_t column) {
    return values[row * size + column];
  }
  [[nodiscard]] double at(std::size_t row, std::size_t column) const {
    return values[row * size + column];
  }
  std::size_t size;
  std::vector<double> values;
};

/// By Cholesky, after scaling to a diagonal of ones. None when a parameter, or a combination of
/// parameters, is not determined: a pivot below 1e-9 of its diagonal element.
[[nodiscard]] std::optional<SquareMatrix> symmetric_inverse(const SquareMatrix& matrix);

}  // namespace latticed::sim
