// The loops of generators over maps of 16 bits, for compilers to vectorise as those of kernels_generic.h.
#pragma once

#include "engine/kernels_generic.h"

namespace fastnst {
namespace {

inline void depthwise_row(const DepthwiseRow& row) {
  for (int64_t first = 0; first < row.channels; first += kLanes) {
    int32_t weights[9][kLanes];
    const int8_t* stored = row.weights + first * 12;
    for (int tap = 0; tap < 9; tap++)
      for (int c = 0; c < kLanes; c++) weights[tap][c] = stored[(tap % 3 * kLanes + c) * 4 + tap / 3];
    const uint8_t* __restrict above = row.source + first;
    const uint8_t* __restrict beside = above + row.source_row;
    const uint8_t* __restrict below = beside + row.source_row;
    int16_t* __restrict target = row.target + first;
    const int32_t* __restrict bias = row.bias + first;
    const float* __restrict multiplier = row.multiplier + first;
    for (int64_t x = 0; x < row.pixels; x++) {
      const int64_t at[3] = {x * row.channels, (x + 1) * row.channels, (x + 2) * row.channels};
      for (int c = 0; c < kLanes; c++) {
        int32_t sum = bias[c];
        for (int column = 0; column < 3; column++)
          sum += above[at[column] + c] * weights[column][c] + beside[at[column] + c] * weights[3 + column][c] +
                 below[at[column] + c] * weights[6 + column][c];
        const float scaled = std::min(std::max(float(sum) * multiplier[c], -32768.0f), 32767.0f);
        target[at[0] + c] = int16_t(int32_t(round_small(scaled)));
      }
    }
  }
}

inline void sum_wide_row(const int16_t* q, int64_t pixels, int64_t stride, int64_t* sums, uint64_t* squares) {
  constexpr int64_t kExact = 32768;  // of numbers below 2^16 in an unsigned sum, of such of 16 bits in a signed one
  for (int64_t begin = 0; begin < pixels; begin += kExact) {
    int32_t sum[kLanes] = {};
    uint32_t low[kLanes] = {}, high[kLanes] = {};  // halves of the squares
    for (int64_t x = begin; x < std::min(begin + kExact, pixels); x++)
      for (int c = 0; c < kLanes; c++) {
        const int32_t value = q[x * stride + c];
        const uint32_t square = uint32_t(value * value);
        sum[c] += value;
        low[c] += square & 0xffff;
        high[c] += square >> 16;
      }
    for (int c = 0; c < kLanes; c++) sums[c] += sum[c], squares[c] += (uint64_t(high[c]) << 16) + low[c];
  }
}

// One number of an affine row, held to limits; halves to even.
inline int32_t affine_number(const AffineRow& row, int16_t source, float slope, float offset, float low, float high) {
  const float product = float(source) * slope;
  const float sum = product + offset;
  const float value = std::max(sum, sum * row.negative);
  return int32_t(round_small(std::min(std::max(value, low), high)));
}

inline void narrow_row(const AffineRow& row) {
  const float low = float(-row.zero), high = float(255 - row.zero);
  const int64_t channels = row.channels;
  for (int64_t first = 0; first < channels; first += kLanes) {
    const float* __restrict slope = row.slope + first, * __restrict offset = row.offset + first;
    for (int64_t x = 0; x < row.pixels; x++) {
      const int16_t* __restrict source = row.source + x * channels + first;
      uint8_t* __restrict target = row.target + x * row.target_pixel + first;
      for (int c = 0; c < kLanes; c++)
        target[c] = uint8_t(affine_number(row, source[c], slope[c], offset[c], low, high) + row.zero);
    }
  }
}

inline void wide_row(const AffineRow& row) {
  constexpr float kLimit = 65536;
  constexpr int16_t kNothing[kLanes] = {};
  const int64_t channels = row.channels;
  for (int64_t first = 0; first < channels; first += kLanes) {
    const float* __restrict slope = row.slope + first, * __restrict offset = row.offset + first;
    for (int64_t x = 0; x < row.pixels; x++) {
      const int64_t at = x * channels + first;
      const int16_t* __restrict source = row.source + at;
      const int16_t* __restrict addend = row.addend != nullptr ? row.addend + at : kNothing;
      int16_t* __restrict target = row.wide_target + at;
      for (int c = 0; c < kLanes; c++) {
        const int32_t sum = affine_number(row, source[c], slope[c], offset[c], -kLimit, kLimit) + addend[c];
        target[c] = int16_t(std::min(std::max(sum, -32768), 32767));
      }
    }
  }
}

}  // namespace
}  // namespace fastnst
