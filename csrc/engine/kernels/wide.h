// The loops of generators over maps of 16 bits, in the compiler's vectors: as many lanes as the including file's flags allow.
#pragma once

#if defined(__AVX2__)
#include <immintrin.h>
#endif

#include "engine/kernels/generic.h"

namespace fastnst {
namespace {

#if defined(__AVX512F__)
constexpr int kWidth = 16;
#elif defined(__AVX2__)
constexpr int kWidth = 8;
#else
constexpr int kWidth = 4;
#endif
constexpr int kParts = kLanes / kWidth;  // vectors to a block of channels

using Bytes [[gnu::vector_size(kWidth)]] = uint8_t;
using Words [[gnu::vector_size(2 * kWidth)]] = int16_t;
using Ints [[gnu::vector_size(4 * kWidth)]] = int32_t;
using Naturals [[gnu::vector_size(4 * kWidth)]] = uint32_t;
using Floats [[gnu::vector_size(4 * kWidth)]] = float;

template <typename Vector>
inline Vector load(const void* from) {
  Vector vector;
  std::memcpy(&vector, from, sizeof vector);
  return vector;
}

template <typename Vector>
inline void store(void* to, const Vector& vector) {
  std::memcpy(to, &vector, sizeof vector);
}

// By way of 16 bits, for which compilers find the instructions.
inline Ints widened(const Bytes& bytes) { return __builtin_convertvector(__builtin_convertvector(bytes, Words), Ints); }
inline Ints widened(const Words& words) { return __builtin_convertvector(words, Ints); }

inline void store_bytes(void* to, const Ints& numbers) {
  if constexpr (kWidth == 16)
    store(to, __builtin_convertvector(numbers, Bytes));
  else
    store(to, __builtin_convertvector(__builtin_convertvector(numbers, Words), Bytes));
}

// a > b ? a : b and a < b ? a : b, for which compilers use two instructions where there is one.
inline Floats larger(const Floats& a, const Floats& b) {
#if defined(__AVX512F__)
  return reinterpret_cast<Floats>(_mm512_max_ps(reinterpret_cast<__m512>(a), reinterpret_cast<__m512>(b)));
#elif defined(__AVX2__)
  return reinterpret_cast<Floats>(_mm256_max_ps(reinterpret_cast<__m256>(a), reinterpret_cast<__m256>(b)));
#else
  return a > b ? a : b;
#endif
}

inline Floats smaller(const Floats& a, const Floats& b) {
#if defined(__AVX512F__)
  return reinterpret_cast<Floats>(_mm512_min_ps(reinterpret_cast<__m512>(a), reinterpret_cast<__m512>(b)));
#elif defined(__AVX2__)
  return reinterpret_cast<Floats>(_mm256_min_ps(reinterpret_cast<__m256>(a), reinterpret_cast<__m256>(b)));
#else
  return a < b ? a : b;
#endif
}

// The nearest whole numbers, halves to even, of values in -2^21..2^21, held to limits.
inline Ints rounded(Floats value, float low, float high) {
  constexpr float kShift = 12582912.0f;  // 1.5 * 2^23: the sum has no bits left below 1
  const Floats shifted = smaller(larger(value, low - Floats{}), high - Floats{}) + kShift;
  return __builtin_convertvector(shifted - kShift, Ints);
}

// The channels of one vector.
inline void depthwise_lanes(const DepthwiseRow& row, int64_t first) {
  Ints weights[3][3];
  const int8_t* stored = row.weights + (first / kLanes * 3 * kLanes + first % kLanes) * 4;
  for (int column = 0; column < 3; column++)
    for (int tap = 0; tap < 3; tap++) {
      int32_t lanes[kWidth];
      for (int c = 0; c < kWidth; c++) lanes[c] = stored[(column * kLanes + c) * 4 + tap];
      weights[column][tap] = load<Ints>(lanes);
    }
  const Ints bias = load<Ints>(row.bias + first);
  const Floats multiplier = load<Floats>(row.multiplier + first);
  const uint8_t* source = row.source + first;
  int16_t* target = row.target + first;
  for (int64_t x = 0; x < row.pixels; x++, source += row.channels, target += row.channels) {
    Ints sum = bias;
    for (int tap = 0; tap < 3; tap++)
      for (int column = 0; column < 3; column++)
        sum += widened(load<Bytes>(source + tap * row.source_row + column * row.channels)) * weights[column][tap];
    const Ints out = rounded(__builtin_convertvector(sum, Floats) * multiplier, -32768.0f, 32767.0f);
    store(target, __builtin_convertvector(out, Words));
  }
}

inline void depthwise_row(const DepthwiseRow& row) {
  for (int64_t first = 0; first < row.channels; first += kWidth) depthwise_lanes(row, first);
}

inline void sum_wide_row(const int16_t* q, int64_t pixels, int64_t stride, int64_t* sums, uint64_t* squares) {
  constexpr int64_t kExact = 32768;  // of numbers below 2^16 in an unsigned sum, of such of 16 bits in a signed one
  constexpr int64_t kTogether = 3;   // squares whose sum is below 2^32
  for (int64_t begin = 0; begin < pixels; begin += kExact)
    for (int first = 0; first < kLanes; first += kWidth) {
      Ints sum = {};
      Naturals low = {}, high = {};  // halves of the sums of squares
      const auto add = [&](int64_t x, int64_t count) {
        Naturals square = {};
        for (int64_t i = 0; i < count; i++) {
          const Ints value = widened(load<Words>(q + (x + i) * stride + first));
          square += reinterpret_cast<Naturals>(value * value);
          sum += value;
        }
        low += square & 0xffff;
        high += square >> 16;
      };
      const int64_t end = std::min(begin + kExact, pixels);
      int64_t x = begin;
      for (; x + kTogether <= end; x += kTogether) add(x, kTogether);
      for (; x < end; x++) add(x, 1);
      for (int c = 0; c < kWidth; c++) {
        sums[first + c] += sum[c];
        squares[first + c] += (uint64_t(high[c]) << 16) + low[c];
      }
    }
}

// A vector of an affine row, held to limits. `bent`: negative numbers are multiplied by less than 1.
template <bool bent>
inline Ints affine(const AffineRow& row, int64_t at, Floats slope, Floats offset, float low, float high) {
  const Floats product = __builtin_convertvector(widened(load<Words>(row.source + at)), Floats) * slope;
  Floats sum = product + offset;
  if constexpr (bent) sum = larger(sum, sum * row.negative);
  return rounded(sum, low, high);
}

template <bool bent>
inline void narrow_channels(const AffineRow& row) {
  const float low = float(-row.zero), high = float(255 - row.zero);
  for (int64_t first = 0; first < row.channels; first += kWidth) {
    const Floats slope = load<Floats>(row.slope + first), offset = load<Floats>(row.offset + first);
    for (int64_t x = 0; x < row.pixels; x++) {
      const Ints out = affine<bent>(row, x * row.channels + first, slope, offset, low, high) + row.zero;
      store_bytes(row.target + x * row.target_pixel + first, out);
    }
  }
}

inline void narrow_row(const AffineRow& row) {
  const bool clamped = row.negative == 0 && row.zero == 0;  // the lower limit is ReLU
  if (clamped || row.negative == 1)
    narrow_channels<false>(row);
  else
    narrow_channels<true>(row);
}

template <bool bent>
inline void wide_channels(const AffineRow& row) {
  constexpr float kLimit = 65536;
  for (int64_t first = 0; first < row.channels; first += kWidth) {
    const Floats slope = load<Floats>(row.slope + first), offset = load<Floats>(row.offset + first);
    for (int64_t x = 0; x < row.pixels; x++) {
      const int64_t at = x * row.channels + first;
      Ints out = affine<bent>(row, at, slope, offset, -kLimit, kLimit);
      if (row.addend != nullptr) out += widened(load<Words>(row.addend + at));
      out = out > -32768 ? out : -32768 - Ints{};
      out = out < 32767 ? out : 32767 - Ints{};
      store(row.wide_target + at, __builtin_convertvector(out, Words));
    }
  }
}

inline void wide_row(const AffineRow& row) {
  if (row.negative == 1)
    wide_channels<false>(row);
  else
    wide_channels<true>(row);
}

}  // namespace
}  // namespace fastnst
