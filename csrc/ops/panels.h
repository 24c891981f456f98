// Copies features from memory to the panels of product.h and back. Everything is in the variant's own namespace.
#pragma once

#include <utility>

#include "ops/feature_map.h"
#include "ops/product.h"

namespace fastnst::FASTNST_VARIANT {

// The distances between channels, positions and images.
struct Strides {
  int64_t channel, position, image;
};

static inline Strides strides_of(const FeatureMap& x) {
  return {x.channels_last ? 1 : x.positions, x.channels_last ? x.channels : 1, x.channels * x.positions};
}

// kFloats adjacent elements in the type of the computation.
template <typename T>
struct Unit {
  static constexpr int kParts = kFloats / int(kLanes<T>);
  Lanes<T> part[kParts];
};

typedef float HalfFloats __attribute__((vector_size(kBytes / 2)));

static inline void assign(Unit<float>& unit, Floats v) { unit.part[0] = v; }

static inline void assign(Unit<double>& unit, Floats v) {
  HalfFloats halves[2];
  std::memcpy(halves, &v, sizeof v);
  for (int i = 0; i < 2; i++) unit.part[i] = __builtin_convertvector(halves[i], Doubles);
}

static inline Floats narrow(const Unit<float>& unit) { return unit.part[0]; }

static inline Floats narrow(const Unit<double>& unit) {
  HalfFloats halves[2];
  for (int i = 0; i < 2; i++) halves[i] = __builtin_convertvector(unit.part[i], HalfFloats);
  Floats v;
  std::memcpy(&v, halves, sizeof v);
  return v;
}

// Reads `count` elements at `p`, at most kFloats, followed by zeros.
template <typename T, typename E>
static inline Unit<T> load_unit(const E* p, int64_t count) {
  Unit<T> unit;
  if constexpr (sizeof(E) <= sizeof(float)) {
    assign(unit, load(p, count));
  } else {
    E lanes[kFloats] = {};
    std::memcpy(lanes, p, sizeof(E) * size_t(least(count, kFloats)));
    std::memcpy(&unit, lanes, sizeof unit);
  }
  return unit;
}

template <typename T>
static inline Unit<T> everywhere(T value) {
  Unit<T> unit;
  for (auto& part : unit.part) part = value - Lanes<T>{};
  return unit;
}

template <typename T>
static inline void store_difference(T* p, const Unit<T>& a, const Unit<T>& b) {
  for (int i = 0; i < Unit<T>::kParts; i++) store_lanes(p + i * kLanes<T>, a.part[i] - b.part[i]);
}

template <int kHalf, int... kLane>
static inline void exchange(Floats& a, Floats& b, std::integer_sequence<int, kLane...>) {
  const Floats low = __builtin_shufflevector(a, b, (kLane & kHalf ? kFloats + kLane - kHalf : kLane)...);
  b = __builtin_shufflevector(a, b, (kLane & kHalf ? kFloats + kLane : kLane + kHalf)...);
  a = low;
}

// Transposes a square block: halves of kFloats / 2 rows are exchanged with halves of the others, then quarters, down to
// elements.
template <int kHalf = kFloats / 2>
static inline void transpose(Floats (&rows)[kFloats]) {
#pragma GCC unroll 16
  for (int i = 0; i < kFloats; i++)
    if (!(i & kHalf)) exchange<kHalf>(rows[i], rows[i + kHalf], std::make_integer_sequence<int, kFloats>());
  if constexpr (kHalf > 1) transpose<kHalf / 2>(rows);
}

// Values to subtract from a matrix: one for each row, one for each column, or none.
template <typename T>
struct Shift {
  const T* of_row = nullptr;
  const T* of_column = nullptr;
};

// The number of kFloats x kFloats blocks that a transposing reader prefetches, because their lines are far apart in memory.
constexpr int64_t kAhead = 4;

// out [rows, columns] = source - shift. Element (i, j) of the source is source[i * row + j * column]; one of the strides is 1.
// Columns up to the next multiple of kFloats are filled too.
template <typename T, typename E>
static void pack(const E* source, int64_t row, int64_t column, int64_t rows, int64_t columns, Shift<T> shift, Panels<T> out) {
  for (int64_t j = 0; j < columns; j += kFloats) {
    T* panel = out.data + j / kPanel<T> * out.panel + j % kPanel<T>;
    Unit<T> less = everywhere(T(0));
    if (shift.of_column != nullptr) less = load_unit<T>(shift.of_column + j, columns - j);
    if (column == 1) {
      for (int64_t i = 0; i < rows; i++) {
        if (shift.of_row != nullptr) less = everywhere(shift.of_row[i]);
        store_difference(panel + i * out.row, load_unit<T>(source + i * row + j, columns - j), less);
      }
      continue;
    }
    if constexpr (sizeof(E) <= sizeof(float)) {
      for (int64_t i = 0; i < rows; i += kFloats) {
        Floats block[kFloats];
        for (int c = 0; c < kFloats; c++) block[c] = j + c < columns ? load(source + (j + c) * column + i, rows - i) : Floats{};
        const int64_t ahead = i + kAhead * kFloats, wraps = ahead < rows ? 0 : 1;
        for (int64_t c = j + wraps * kFloats; c < least(columns, j + (1 + wraps) * kFloats); c++)
          __builtin_prefetch(source + c * column + ahead - wraps * rows);
        transpose(block);
        for (int r = 0; r < least(kFloats, rows - i); r++) {
          if (shift.of_row != nullptr) less = everywhere(shift.of_row[i + r]);
          Unit<T> unit;
          assign(unit, block[r]);
          store_difference(panel + (i + r) * out.row, unit, less);
        }
      }
    }
  }
}

// The reverse: out = matrix [rows, columns] + the offset of each row, if there are offsets; strides as above.
template <typename T, typename E>
static void unpack(Panels<T> matrix, int64_t rows, int64_t columns, const T* offset, E* out, int64_t row, int64_t column) {
  const auto at = [=](int64_t i, int64_t j) {
    Unit<T> unit;
    std::memcpy(&unit, matrix.data + j / kPanel<T> * matrix.panel + i * matrix.row + j % kPanel<T>, sizeof unit);
    if (offset != nullptr)
      for (auto& part : unit.part) part += offset[i];
    return narrow(unit);
  };
  for (int64_t j = 0; j < columns; j += kFloats) {
    if (column == 1) {
      for (int64_t i = 0; i < rows; i++) store(out + i * row + j, at(i, j), columns - j);
      continue;
    }
    for (int64_t i = 0; i < rows; i += kFloats) {
      Floats block[kFloats];
      for (int r = 0; r < kFloats; r++) block[r] = i + r < rows ? at(i + r, j) : Floats{};
      transpose(block);
      for (int c = 0; c < least(kFloats, columns - j); c++) store(out + (j + c) * column + i, block[c], rows - i);
    }
  }
}

}  // namespace fastnst::FASTNST_VARIANT
