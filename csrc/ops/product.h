// Products of small matrices in registers. Everything is in the variant's own namespace.
#pragma once

#include "ops/vector.h"

namespace fastnst::FASTNST_VARIANT {

template <typename T>
struct LanesOf;
template <>
struct LanesOf<float> {
  typedef Floats Vector;
};
template <>
struct LanesOf<double> {
  typedef Doubles Vector;
};
template <typename T>
using Lanes = typename LanesOf<T>::Vector;

template <typename T>
constexpr int64_t kLanes = kBytes / int64_t(sizeof(T));

// A micro-tile is kRows x kPanel: two vectors in each row. With its factors it fills all registers.
template <typename T>
constexpr int64_t kPanel = 2 * kLanes<T>;
#if defined(__AVX512F__) || defined(__aarch64__)
constexpr int kRows = 8;
#elif defined(__AVX2__)
constexpr int kRows = 6;
#else
constexpr int kRows = 4;
#endif

// The number of rows of a panel that stay in the first-level cache while they are reused: 24 KiB.
template <typename T>
constexpr int64_t kDepth = (24 << 10) / (kPanel<T> * int64_t(sizeof(T)));

static inline int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }
static inline int64_t most(int64_t a, int64_t b) { return a > b ? a : b; }
static inline int64_t round_up_to(int64_t value, int64_t step) { return (value + step - 1) / step * step; }

// A matrix whose columns are grouped in panels of kPanel: element (i, j) is data[j / kPanel * panel + i * row + j % kPanel].
// Memory beyond the last column, up to a whole vector, exists and may be written to.
template <typename T>
struct Panels {
  T* data;
  int64_t row, panel;
};

// The left factor of a product: element (i, k) is data[i / kPanel * panel + i % kPanel * row + k * column].
template <typename T>
struct Left {
  const T* data;
  int64_t row, column, panel;
};

// A row-major matrix with `pitch` elements from row to row.
template <typename T>
static inline Panels<T> row_major(T* data, int64_t pitch) {
  return {data, pitch, kPanel<T>};
}

// Panels of `depth` rows, one after the other.
template <typename T>
static inline Panels<T> panel_major(T* data, int64_t depth) {
  return {data, kPanel<T>, depth * kPanel<T>};
}

// The matrix as the left factor, as it is (row-major only) or transposed.
template <typename T>
static inline Left<T> as_left(Panels<T> m) {
  return {m.data, m.row, 1, m.row * kPanel<T>};
}

template <typename T>
static inline Left<T> transposed(Panels<T> m) {
  return {m.data, 1, m.row, m.panel};
}

template <typename T>
static inline Lanes<T> load_lanes(const T* p) {
  return load_bits<Lanes<T>>(p);
}

template <typename T>
static inline void store_lanes(T* p, Lanes<T> v) {
  std::memcpy(p, &v, sizeof v);
}

// out [rows, vectors * kLanes] += left * right, of `rows` <= kRows; `left` has a pointer for every one of kRows.
template <typename T, int kVectors>
static inline void micro_product(int64_t rows, int64_t depth, const T* const (&left)[kRows], int64_t column, const T* right,
                                 int64_t row, T* out, int64_t out_row) {
  Lanes<T> sums[kRows][kVectors] = {};
  for (int64_t k = 0, at = 0; k < depth; k++, at += column, right += row) {
    Lanes<T> values[kVectors];
#pragma GCC unroll 2
    for (int v = 0; v < kVectors; v++) values[v] = load_lanes(right + v * kLanes<T>);
#pragma GCC unroll 8
    for (int i = 0; i < kRows; i++)
#pragma GCC unroll 2
      for (int v = 0; v < kVectors; v++) sums[i][v] += left[i][at] * values[v];
  }
#pragma GCC unroll 8
  for (int i = 0; i < kRows; i++)
    if (i < rows)
#pragma GCC unroll 2
      for (int v = 0; v < kVectors; v++) {
        T* p = out + i * out_row + v * kLanes<T>;
        store_lanes(p, load_lanes(p) + sums[i][v]);
      }
}

// out [rows, columns] += left [rows, depth] * right [depth, columns]; with `lower`, at least what is on and below the diagonal.
template <typename T>
static void add_product(int64_t rows, int64_t columns, int64_t depth, Left<T> left, Panels<T> right, Panels<T> out,
                        bool lower = false) {
  for (int64_t k = 0; k < depth; k += kDepth<T>) {
    const int64_t step = least(kDepth<T>, depth - k);
    for (int64_t j = 0; j < columns; j += kPanel<T>) {
      const T* panel = right.data + j / kPanel<T> * right.panel + k * right.row;
      for (int64_t i = lower ? j / kRows * kRows : 0; i < rows; i += kRows) {
        const T* pointers[kRows];
        for (int64_t r = 0; r < kRows; r++) {
          const int64_t index = least(i + r, rows - 1);
          pointers[r] = left.data + index / kPanel<T> * left.panel + index % kPanel<T> * left.row + k * left.column;
        }
        T* tile = out.data + j / kPanel<T> * out.panel + i * out.row;
        if (columns - j > kLanes<T>)
          micro_product<T, 2>(rows - i, step, pointers, left.column, panel, right.row, tile, out.row);
        else
          micro_product<T, 1>(rows - i, step, pointers, left.column, panel, right.row, tile, out.row);
      }
    }
  }
}

}  // namespace fastnst::FASTNST_VARIANT
