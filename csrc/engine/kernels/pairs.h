// The two loops of whitening and colouring, over pairs of 16-bit factors whose products are summed in 32 bits. An including
// path gives `Lanes`: 16 sums, and the instruction that adds products of pairs to them.
#pragma once

#include <algorithm>
#include <cstring>

#include "engine/kernels/color.h"
#include "engine/kernels/winograd.h"

namespace fastnst {
namespace {

// Plain C++, for paths without an instruction of their own.
struct PlainLanes {
  static constexpr int tile = 4;  // groups of sums that are computed together
  struct Vector {
    int16_t pairs[kLanes][2];
  };
  struct Sums {
    int32_t lanes[kLanes];
  };
  static Sums zero() { return {}; }
  static Vector load(const void* from) {
    Vector vector;
    std::memcpy(&vector, from, sizeof vector);
    return vector;
  }
  // sums[lane] += factor.low * vector[lane][0] + factor.high * vector[lane][1], all signed 16 bits.
  static void add(Sums& sums, uint32_t factor, const Vector& vector) {
    const int32_t low = int16_t(factor & 0xffff), high = int16_t(factor >> 16);
    for (int lane = 0; lane < kLanes; lane++) sums.lanes[lane] += low * vector.pairs[lane][0] + high * vector.pairs[lane][1];
  }
  static void store(int32_t* to, const Sums& sums) { std::memcpy(to, sums.lanes, sizeof sums.lanes); }
};

// Channels `first` to first + tile - 1 with the 16 from `column`.
template <typename Lanes>
void products_tile(const PairPanel& panel, int64_t first, int64_t column, uint64_t* products) {
  const int64_t channels = panel.channels;
  typename Lanes::Sums sums[Lanes::tile];
  for (auto& sum : sums) sum = Lanes::zero();
  const uint32_t* pixels = panel.pairs;
  for (int64_t p = 0; p < panel.count; p++, pixels += channels) {
    const auto vector = Lanes::load(pixels + column);
    for (int i = 0; i < Lanes::tile; i++) Lanes::add(sums[i], pixels[first + i], vector);
  }
  for (int i = 0; i < Lanes::tile; i++) {
    alignas(64) int32_t lanes[kLanes];
    Lanes::store(lanes, sums[i]);
    uint64_t* row = products + (first + i) * channels + column;
    for (int lane = 0; lane < kLanes; lane++) row[lane] += uint32_t(lanes[lane]);
  }
}

template <typename Lanes>
void add_products(const PairPanel& panel, uint64_t* products) {
  for (int64_t column = 0; column < panel.channels; column += kLanes)
    for (int64_t first = 0; first < column + kLanes; first += Lanes::tile) products_tile<Lanes>(panel, first, column, products);
}

// `count` pixels, at most a tile, of all channels.
template <typename Lanes, int count>
void mix_tile(const MixRow& row, int64_t at) {
  const int64_t channels = row.channels, pairs = channels / 2;
  uint32_t wide[count][kMaxMixed / 2];  // the bytes of each pixel as 16 bits, two by two
  for (int i = 0; i < count; i++) {
    const uint8_t* pixel = row.source + (at + i) * channels;
    for (int64_t p = 0; p < pairs; p++) wide[i][p] = uint32_t(pixel[2 * p]) | uint32_t(pixel[2 * p + 1]) << 16;
  }
  const int16_t* weights = row.weights;
  for (int64_t first = 0; first < channels; first += kLanes) {
    typename Lanes::Sums sums[count];
    for (auto& sum : sums) sum = Lanes::zero();
    for (int64_t p = 0; p < pairs; p++, weights += 2 * kLanes) {
      const auto vector = Lanes::load(weights);
      for (int i = 0; i < count; i++) Lanes::add(sums[i], wide[i][p], vector);
    }
    for (int i = 0; i < count; i++) {
      alignas(64) int32_t lanes[kLanes];
      Lanes::store(lanes, sums[i]);
      uint8_t* target = row.target + (at + i) * channels + first;
      for (int lane = 0; lane < kLanes; lane++) {
        const float product = float(lanes[lane]) * row.multiplier[first + lane];
        const float value = product + row.offset[first + lane];
        target[lane] = uint8_t(int32_t(round_small(std::min(std::max(value, 0.0f), 255.0f))));
      }
    }
  }
}

template <typename Lanes>
void mix_row(const MixRow& row) {
  int64_t x = 0;
  for (; x + Lanes::tile <= row.pixels; x += Lanes::tile) mix_tile<Lanes, Lanes::tile>(row, x);
  for (; x < row.pixels; x++) mix_tile<Lanes, 1>(row, x);
}

template <typename Tile, typename Lanes>
constexpr ProductKernels make_products(void (*depthwise)(const DepthwiseRow&) = depthwise_row,
                                       void (*picture)(const PictureRow&) = nullptr) {
  constexpr bool kShort = requires { Tile::short_sums; };
  void (*conv)(const ConvRow&);
  if constexpr (kShort)
    conv = short_row<Tile>;
  else
    conv = conv_row<Tile>;
  return {conv, add_products<Lanes>, mix_row<Lanes>, depthwise, picture, kShort};
}

template <typename Windows>
constexpr LoopKernels make_loops() {
  return {pool_row,   affine_row,   sum_row,    sum_wide_row, narrow_row, wide_row, window_row<Windows>, output_row<Windows>,
          color_sums, weigh_colors, map_colors, blend_colors};
}

}  // namespace
}  // namespace fastnst
