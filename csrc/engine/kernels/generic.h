// The parts of a path that are the same algorithm everywhere: the walk over groups and register tiles, and the byte-wise
// loops, which compilers vectorise for whatever instruction set the including file is built for. Everything is in an
// unnamed namespace, so that no path can end up running code another one's flags compiled.
#pragma once

#include <algorithm>
#include <cstring>

#include "engine/kernels/kernels.h"

namespace fastnst {
namespace {

// The part of a row that one group of blocks works on.
struct GroupRow {
  const ConvRow* row;
  const int8_t* weights;  // of the group's first block
  ptrdiff_t weight_step;  // bytes from one step's weights to the next one's
  const int32_t* bias;
  const float* multiplier;
  const ShortBlock *shorts = nullptr, *small = nullptr;  // of the group's only block
};

// Bytes of one number that a row writes.
inline int number_bytes(const ConvRow& row) { return 1 << int(row.writes); }

// Runs `Tile::run<blocks>(group, source, target, target_pixel)`, which computes Tile::pixels(blocks) pixels, over a row.
// A last tile that sticks out is moved back over pixels already done; a row shorter than a tile goes through a scratch.
template <typename Tile, int blocks>
void tiles_of_group(const GroupRow& group, uint8_t* target) {
  constexpr int width = Tile::pixels(blocks);
  const ConvRow& row = *group.row;
  if (row.pixels >= width) {
    for (int64_t x = 0; x < row.pixels; x += width) {
      x = std::min<int64_t>(x, row.pixels - width);
      Tile::template run<blocks>(group, row.source + x * row.source_pixel, target + x * row.target_pixel, row.target_pixel);
    }
    return;
  }
  const int bytes = blocks * kLanes * number_bytes(row);
  alignas(64) uint8_t scratch[width * blocks * kLanes * sizeof(int32_t)];
  Tile::template run<blocks>(group, row.source, scratch, bytes);
  for (int64_t x = 0; x < row.pixels; x++) std::memcpy(target + x * row.target_pixel, scratch + x * bytes, bytes);
}

template <typename Tile>
void conv_row(const ConvRow& row) {
  const int8_t* weights = row.weights;
  for (int block = 0; block < row.blocks;) {
    const int size = group_size(row.blocks - block);
    const ptrdiff_t step = size * kLanes * 4;
    for (int within = 0; within < size;) {  // paths with few registers take a group's blocks one by one
      const int together = std::min(size, Tile::max_blocks);
      const int first = block + within;
      const GroupRow group{&row, weights + within * kLanes * 4, step, row.bias + first * kLanes,
                           row.multiplier + first * kLanes};
      uint8_t* target = row.target + first * kLanes * number_bytes(row);
      if constexpr (Tile::max_blocks >= 4)
        if (together == 4) tiles_of_group<Tile, 4>(group, target);
      if constexpr (Tile::max_blocks >= 2)
        if (together == 2) tiles_of_group<Tile, 2>(group, target);
      if (together == 1) tiles_of_group<Tile, 1>(group, target);
      within += together;
    }
    weights += row.rows * row.steps * step;
    block += size;
  }
}

// For tiles of one block that take ShortBlocks.
template <typename Tile>
void short_row(const ConvRow& row) {
  for (int block = 0; block < row.blocks; block++) {
    const int first = block * kLanes;
    GroupRow group{&row, nullptr, 0, row.bias + first, row.multiplier + first};
    group.shorts = row.shorts + block;
    if (row.small != nullptr) group.small = row.small + block;
    tiles_of_group<Tile, 1>(group, row.target + first * number_bytes(row));
  }
}

// The byte-wise loops go by blocks of 16 channels: a count known to the compiler, which then needs no scalar remainder.
inline void pool_row(const uint8_t* __restrict a, const uint8_t* __restrict b, uint8_t* __restrict out, int64_t pixels,
                     int64_t channels) {
  for (int64_t x = 0; x < pixels; x++, a += 2 * channels, b += 2 * channels)
    for (int64_t first = 0; first < channels; first += kLanes, out += kLanes)
      for (int64_t c = first; c < first + kLanes; c++)
        out[c - first] = std::max(std::max(a[c], a[c + channels]), std::max(b[c], b[c + channels]));
}

// Nearest integer, halves to even, of 0 <= value <= 255: the sum has no bits left below 1.
inline float round_small(float value) {
  constexpr float kShift = 12582912.0f;  // 1.5 * 2^23
  const float shifted = value + kShift;
  return shifted - kShift;
}

inline void affine_row(const uint8_t* __restrict q, const float* __restrict slope, const float* __restrict offset,
                       uint8_t* __restrict out, int64_t pixels, int64_t channels) {
  for (int64_t x = 0; x < pixels; x++)
    for (int64_t first = 0; first < channels; first += kLanes, q += kLanes, out += kLanes)
      for (int c = 0; c < kLanes; c++) {
        const float product = slope[first + c] * float(q[c]);
        const float value = product + offset[first + c];
        out[c] = uint8_t(int32_t(round_small(std::min(std::max(value, 0.0f), 255.0f))));
      }
}

inline void sum_row(const uint8_t* q, int64_t pixels, int64_t stride, uint64_t* sums, uint64_t* squares) {
  constexpr int64_t kExact = 65536;  // 255 * 255 * kExact < 2^32
  for (int64_t begin = 0; begin < pixels; begin += kExact) {
    uint32_t sum[kLanes] = {}, square[kLanes] = {};
    for (int64_t x = begin; x < std::min(begin + kExact, pixels); x++)
      for (int c = 0; c < kLanes; c++) {
        const uint32_t value = q[x * stride + c];
        sum[c] += value;
        square[c] += value * value;
      }
    for (int c = 0; c < kLanes; c++) sums[c] += sum[c], squares[c] += square[c];
  }
}

}  // namespace
}  // namespace fastnst
