// Eigenvalues and eigenvectors of symmetric matrices in float64, the same bits on every machine: sums and products in a fixed
// order, divisions and square roots, nothing else (the compiler may not contract or reorder them: see setup.py).
#pragma once

#include <cstddef>
#include <vector>

namespace fastnst {

struct Eigen {
  std::vector<double> values;   // [n], in no order
  std::vector<double> vectors;  // [n][n]: row k belongs to values[k]; orthonormal to rounding
};

// `matrix`: [n][n], symmetric and finite; only its lower triangle is read. Householder reduction to a tridiagonal matrix, then
// QL steps with implicit shifts (Golub and Van Loan, Matrix Computations, 8.3). Throws std::runtime_error if an eigenvalue does
// not settle within 64 steps; two or three are usual.
Eigen eigen(std::vector<double> matrix, size_t n);

// The symmetric matrix [n][n] with the eigenvectors of `eigen` and the eigenvalues `values` [n]. Zeros cost nothing.
std::vector<double> symmetric_function(const Eigen& eigen, const std::vector<double>& values, int threads);

// The product of two matrices [n][n].
std::vector<double> product(const std::vector<double>& a, const std::vector<double>& b, size_t n, int threads);

}  // namespace fastnst
