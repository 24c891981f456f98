// Sums and maps of 8-bit colours. Loops over planes of a few hundred pixels, which compilers vectorise for whatever instruction
// set the including file is built for.
#pragma once

#include <algorithm>

#include "engine/kernels/kernels.h"

namespace fastnst {
namespace {

constexpr int64_t kColorPlane = 256;  // 256 * 255 * 255 < 2^31

// The colours of up to kColorPlane pixels, apart; zero beyond them.
struct ColorPlanes {
  alignas(64) int16_t r[kColorPlane], g[kColorPlane], b[kColorPlane];

  [[gnu::noinline]] void take(const uint8_t* __restrict rgb, int64_t pixels) {
    if (pixels < kColorPlane) *this = {};
    for (int64_t i = 0; i < pixels; i++) r[i] = rgb[3 * i], g[i] = rgb[3 * i + 1], b[i] = rgb[3 * i + 2];
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

inline void color_sums(const uint8_t* rgb, int64_t pixels, uint64_t* sums) {
  ColorPlanes planes;
  for (int64_t begin = 0; begin < pixels; begin += kColorPlane) {
    planes.take(rgb + 3 * begin, std::min(kColorPlane, pixels - begin));
    const int16_t *r = planes.r, *g = planes.g, *b = planes.b;
    const int32_t own[9] = {plane_sum(r),        plane_sum(g),        plane_sum(b),
                            plane_product(r, r), plane_product(r, g), plane_product(r, b),
                            plane_product(g, g), plane_product(g, b), plane_product(b, b)};
    for (int i = 0; i < 9; i++) sums[i] += uint64_t(own[i]);
  }
}

[[gnu::noinline]] inline void map_plane(const int32_t* row, int32_t offset, const ColorPlanes& planes, uint8_t* __restrict to) {
  const int32_t x = row[0], y = row[1], z = row[2], half = offset + (1 << (kColorBits - 1));
  for (int64_t i = 0; i < kColorPlane; i++) {
    const int32_t value = (x * planes.r[i] + y * planes.g[i] + z * planes.b[i] + half) >> kColorBits;
    to[i] = uint8_t(std::min(std::max(value, 0), 255));
  }
}

inline void map_colors(const ColorMap& map, uint8_t* rgb, int64_t pixels) {
  ColorPlanes planes;
  alignas(64) uint8_t mapped[3][kColorPlane];
  for (int64_t begin = 0; begin < pixels; begin += kColorPlane) {
    const int64_t count = std::min(kColorPlane, pixels - begin);
    uint8_t* __restrict pixel = rgb + 3 * begin;
    planes.take(pixel, count);
    for (int c = 0; c < 3; c++) map_plane(map.matrix[c], map.offset[c], planes, mapped[c]);
    for (int64_t i = 0; i < count; i++)
      pixel[3 * i] = mapped[0][i], pixel[3 * i + 1] = mapped[1][i], pixel[3 * i + 2] = mapped[2][i];
  }
}

}  // namespace
}  // namespace fastnst
