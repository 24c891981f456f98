// Sums and maps of 8-bit colours. Loops over planes of a few hundred pixels, which compilers vectorise for whatever instruction
// set the including file is built for.
#pragma once

#include <algorithm>
#include <cstring>

#include "engine/kernels/kernels.h"

namespace fastnst {
namespace {

// The colours of up to kColorPlane pixels, apart; zero beyond them.
struct ColorPlanes {
  alignas(64) int16_t of[3][kColorPlane];

  [[gnu::noinline]] void take(const uint8_t* __restrict rgb, int64_t pixels) {
    if (pixels < kColorPlane) *this = {};
    for (int64_t i = 0; i < pixels; i++) of[0][i] = rgb[3 * i], of[1][i] = rgb[3 * i + 1], of[2][i] = rgb[3 * i + 2];
  }
};

// Not inline, or there would be nine copies of these loops.
[[gnu::noinline]] inline int32_t plane_sum(const int16_t* __restrict a) {
  int32_t sum = 0;
  for (int64_t i = 0; i < kColorPlane; i++) sum += a[i];
  return sum;
}

[[gnu::noinline]] inline int32_t plane_product(const int16_t* __restrict a, const int16_t* __restrict b) {
  int32_t sum = 0;
  for (int64_t i = 0; i < kColorPlane; i++) sum += int32_t(a[i]) * int32_t(b[i]);
  return sum;
}

[[gnu::noinline]] inline void plane_sums(const ColorPlanes& planes, uint64_t* sums) {
  for (int i = 0, k = 3; i < 3; i++) {
    sums[i] += uint64_t(plane_sum(planes.of[i]));
    for (int j = i; j < 3; j++) sums[k++] += uint64_t(plane_product(planes.of[i], planes.of[j]));
  }
}

inline void color_sums(const uint8_t* rgb, int64_t pixels, uint64_t* sums) {
  ColorPlanes planes;
  for (int64_t begin = 0; begin < pixels; begin += kColorPlane) {
    planes.take(rgb + 3 * begin, std::min(kColorPlane, pixels - begin));
    plane_sums(planes, sums);
  }
}

[[gnu::noinline]] inline void times_weights(const int16_t* __restrict a, const int16_t* __restrict weights,
                                            int16_t* __restrict to) {
  for (int64_t i = 0; i < kColorPlane; i++) to[i] = int16_t(a[i] * weights[i] - (1 << 15));
}

inline void weigh_colors(const uint8_t* rgb, int64_t pixels, const ColorWeights& weights, uint64_t* sums) {
  ColorPlanes planes;
  planes.take(rgb, pixels);
  uint64_t all[kColorSums] = {};
  plane_sums(planes, all);
  all[9] = uint64_t(pixels);
  for (size_t i = 0; i < kColorSums; i++) sums[i] += all[i];
  alignas(64) int16_t by[kColorPlane] = {}, times[kColorPlane];
  for (size_t part = 0; part < weights.parts; part++) {
    sums += kColorSums;
    std::memcpy(by, weights.values + int64_t(part) * weights.stride, size_t(pixels) * sizeof *by);
    const uint64_t weight = uint64_t(plane_sum(by));
    if (weight == 0) continue;
    sums[9] += weight;
    for (int i = 0, k = 3; i < 3; i++) {
      sums[i] += uint64_t(plane_product(by, planes.of[i]));
      times_weights(planes.of[i], by, times);  // less 2^15, to be numbers of 16 bits: added again to their sums
      for (int j = i; j < 3; j++) sums[k++] += (all[j] << 15) + uint64_t(int64_t(plane_product(times, planes.of[j])));
    }
  }
}

[[gnu::noinline]] inline void map_plane(const int32_t* row, int32_t offset, const ColorPlanes& planes, uint8_t* __restrict to) {
  const int32_t x = row[0], y = row[1], z = row[2], half = offset + (1 << (kColorBits - 1));
  for (int64_t i = 0; i < kColorPlane; i++) {
    const int32_t value = (x * planes.of[0][i] + y * planes.of[1][i] + z * planes.of[2][i] + half) >> kColorBits;
    to[i] = uint8_t(std::min(std::max(value, 0), 255));
  }
}

// The planes of up to kColorPlane mapped pixels.
struct MappedPlanes {
  alignas(64) uint8_t of[3][kColorPlane];

  [[gnu::noinline]] void put(uint8_t* __restrict rgb, int64_t pixels) const {
    for (int64_t i = 0; i < pixels; i++) rgb[3 * i] = of[0][i], rgb[3 * i + 1] = of[1][i], rgb[3 * i + 2] = of[2][i];
  }
};

inline void map_colors(const ColorMap& map, uint8_t* rgb, int64_t pixels) {
  ColorPlanes planes;
  MappedPlanes mapped;
  for (int64_t begin = 0; begin < pixels; begin += kColorPlane) {
    const int64_t count = std::min(kColorPlane, pixels - begin);
    planes.take(rgb + 3 * begin, count);
    for (int c = 0; c < 3; c++) map_plane(map.matrix[c], map.offset[c], planes, mapped.of[c]);
    mapped.put(rgb + 3 * begin, count);
  }
}

[[gnu::noinline]] inline void add_weighted(const uint8_t* __restrict plane, const uint16_t* __restrict weights,
                                           uint16_t* __restrict sums) {
  for (int64_t i = 0; i < kColorPlane; i++) sums[i] = uint16_t(sums[i] + weights[i] * plane[i]);
}

inline void blend_colors(const ColorMap* maps, const ColorWeights& weights, uint8_t* rgb, int64_t pixels) {
  ColorPlanes planes;
  MappedPlanes mapped;
  planes.take(rgb, pixels);
  alignas(64) uint16_t sums[3][kColorPlane], by[kColorPlane] = {};
  std::fill_n(sums[0], 3 * kColorPlane, uint16_t(128));
  for (size_t part = 0; part < weights.parts; part++) {
    const uint16_t* own = weights.values + int64_t(part) * weights.stride;
    if (std::all_of(own, own + pixels, [](uint16_t weight) { return weight == 0; })) continue;
    std::memcpy(by, own, size_t(pixels) * sizeof *by);
    for (int c = 0; c < 3; c++) {
      map_plane(maps[part].matrix[c], maps[part].offset[c], planes, mapped.of[c]);
      add_weighted(mapped.of[c], by, sums[c]);
    }
  }
  for (int c = 0; c < 3; c++)
    for (int64_t i = 0; i < kColorPlane; i++) mapped.of[c][i] = uint8_t(sums[c][i] >> 8);
  mapped.put(rgb, pixels);
}

}  // namespace
}  // namespace fastnst
