#include "engine/eigen.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <stdexcept>
#include <utility>

#include "base/parallel.h"

namespace fastnst {
namespace {

constexpr double kEpsilon = std::numeric_limits<double>::epsilon();
constexpr double kTiny = 1e-32;  // far below the rounding of a matrix of size 1, and its square is an ordinary number
// Nothing beside 1, and anything smaller may have lost the digits that a reflection or a rotation is made of.
constexpr double kVanished = 1e-100;
constexpr int kMaxSteps = 64;

// Q^T matrix Q = tridiagonal: `diagonal` [n] and `below` [n], where below[i] couples i and i + 1.
struct Tridiagonal {
  std::vector<double> diagonal, below;
  std::vector<double> rows;  // Q^T, [n][n]
};

// The length of `x` [n], scaled so that squares neither overflow nor vanish.
double length(const double* x, size_t n) {
  double largest = 0;
  for (size_t i = 0; i < n; i++) largest = std::max(largest, std::abs(x[i]));
  if (largest == 0) return 0;
  double sum = 0;
  for (size_t i = 0; i < n; i++) sum += (x[i] / largest) * (x[i] / largest);
  return largest * std::sqrt(sum);
}

// w <- v^T rows, for v on the rows from `first`. Row by row, so that no sum waits for itself.
void project(const std::vector<double>& rows, size_t n, const std::vector<double>& v, size_t first, std::vector<double>& w) {
  std::fill(w.begin(), w.end(), 0.0);
  for (size_t j = first; j < n; j++)
    for (size_t i = 0; i < n; i++) w[i] += v[j] * rows[j * n + i];
}

// rows <- (I - 2 v v^T) rows.
void reflect_rows(std::vector<double>& rows, size_t n, const std::vector<double>& v, size_t first, std::vector<double>& w) {
  project(rows, n, v, first, w);
  for (size_t j = first; j < n; j++)
    for (size_t i = 0; i < n; i++) rows[j * n + i] -= 2 * v[j] * w[i];
}

// a <- (I - 2 v v^T) a (I - 2 v v^T) for symmetric a, on its trailing rows and columns: an update of rank two.
void reflect_both(std::vector<double>& a, size_t n, const std::vector<double>& v, size_t first, std::vector<double>& w) {
  project(a, n, v, first, w);
  double share = 0;
  for (size_t i = first; i < n; i++) share += w[i] * v[i];
  for (size_t i = first; i < n; i++) w[i] = 2 * (w[i] - share * v[i]);
  for (size_t i = first; i < n; i++)
    for (size_t j = first; j < n; j++) a[i * n + j] -= v[i] * w[j] + w[i] * v[j];
}

Tridiagonal tridiagonalise(std::vector<double> a, size_t n) {
  for (size_t i = 0; i < n; i++)
    for (size_t j = i + 1; j < n; j++) a[i * n + j] = a[j * n + i];
  Tridiagonal result{std::vector<double>(n), std::vector<double>(n), std::vector<double>(n * n)};
  std::vector<double> v(n), w(n);
  for (size_t i = 0; i < n; i++) result.rows[i * n + i] = 1;
  for (size_t k = 0; k + 1 < n; k++) {
    // Reflects what is left of column k onto its first entry.
    const double norm = length(a.data() + k * n + k + 1, n - k - 1);
    if (norm <= kVanished) continue;
    const double head = a[k * n + k + 1], onto = head > 0 ? -norm : norm;
    result.below[k] = onto;
    for (size_t j = k + 1; j < n; j++) v[j] = a[k * n + j];
    v[k + 1] = head - onto;
    const double size = length(v.data() + k + 1, n - k - 1);
    for (size_t j = k + 1; j < n; j++) v[j] /= size;
    reflect_both(a, n, v, k + 1, w);
    reflect_rows(result.rows, n, v, k + 1, w);
  }
  for (size_t i = 0; i < n; i++) result.diagonal[i] = a[i * n + i];
  return result;
}

// (x, y) <- (c x - s y, s x + c y) for two rows.
void rotate_rows(double* x, double* y, double c, double s, size_t n) {
  for (size_t i = 0; i < n; i++) {
    const double xi = x[i], yi = y[i];
    x[i] = c * xi - s * yi;
    y[i] = s * xi + c * yi;
  }
}

// One QL step with implicit shift on the unreduced block from `low` to `high`.
void ql_step(Tridiagonal& t, size_t n, size_t low, size_t high) {
  std::vector<double>&d = t.diagonal, &e = t.below;
  // Wilkinson's shift: the eigenvalue of the leading 2 x 2 block that is closer to its corner.
  const double half = (d[low + 1] - d[low]) / 2, coupling = e[low];
  const double root = std::sqrt(half * half + coupling * coupling);
  const double shift = d[low] - coupling / (half >= 0 ? half + root : half - root) * coupling;
  double bulge = d[high] - shift, chased = e[high - 1];
  for (size_t i = high; i-- > low;) {
    // The rotation of rows i and i + 1 that moves the bulge up by one.
    const double size = std::sqrt(bulge * bulge + chased * chased);
    const bool turns = size > kVanished;
    const double c = turns ? bulge / size : 1, s = turns ? chased / size : 0;
    if (i + 1 < high) e[i + 1] = size;
    const double upper = d[i], lower = d[i + 1], between = e[i];
    const double mixed = 2 * (c * s) * between;
    d[i + 1] = (c * c) * lower + (s * s) * upper + mixed;
    d[i] = (s * s) * lower + (c * c) * upper - mixed;
    e[i] = (c * c - s * s) * between - (c * s) * (lower - upper);
    if (i > low) {
      bulge = e[i];
      chased = s * e[i - 1];
      e[i - 1] = c * e[i - 1];
    }
    rotate_rows(t.rows.data() + i * n, t.rows.data() + (i + 1) * n, c, s, n);
  }
}

// Whether i and i + 1 are as good as uncoupled, in a matrix whose entries are at most about 1.
bool negligible(const Tridiagonal& t, size_t i) {
  const double coupling = std::abs(t.below[i]);
  return coupling <= kTiny || coupling <= kEpsilon * (std::abs(t.diagonal[i]) + std::abs(t.diagonal[i + 1]));
}

}  // namespace

Eigen eigen(std::vector<double> matrix, size_t n) {
  double largest = 0;
  for (const double each : matrix) largest = std::max(largest, std::abs(each));
  const double scale = largest > 0 ? largest : 1;
  for (double& each : matrix) each /= scale;
  Tridiagonal t = tridiagonalise(std::move(matrix), n);
  for (size_t low = 0; low < n; low++) {
    for (int step = 0;; step++) {
      size_t high = low;
      while (high + 1 < n && !negligible(t, high)) high++;
      if (high == low) break;
      if (step == kMaxSteps) throw std::runtime_error("the eigenvalues of a covariance do not settle");
      ql_step(t, n, low, high);
    }
  }
  for (double& each : t.diagonal) each *= scale;
  return {std::move(t.diagonal), std::move(t.rows)};
}

std::vector<double> symmetric_function(const Eigen& eigen, const std::vector<double>& values, int threads) {
  const size_t n = values.size();
  std::vector<double> result(n * n);
  parallel_for(int64_t(n), 8, threads, [&](int, int64_t begin, int64_t end) {
    for (size_t k = 0; k < n; k++) {
      if (values[k] == 0) continue;
      const double* vector = eigen.vectors.data() + k * n;
      for (int64_t i = begin; i < end; i++) {
        const double factor = values[k] * vector[i];
        double* row = result.data() + size_t(i) * n;
        for (size_t j = 0; j < n; j++) row[j] += factor * vector[j];
      }
    }
  });
  return result;
}

std::vector<double> product(const std::vector<double>& a, const std::vector<double>& b, size_t n, int threads) {
  std::vector<double> result(n * n);
  parallel_for(int64_t(n), 8, threads, [&](int, int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; i++)
      for (size_t k = 0; k < n; k++) {
        const double factor = a[size_t(i) * n + k];
        double* row = result.data() + size_t(i) * n;
        for (size_t j = 0; j < n; j++) row[j] += factor * b[k * n + j];
      }
  });
  return result;
}

}  // namespace fastnst
