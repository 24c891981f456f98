// The last convolution of a decoder by 512-bit dot products: inputs are the lanes, whose sums are added up at the end. With
// outputs in the lanes, as elsewhere, three of 16 would be at work, or six of 15 where pixels share them.
#pragma once

#include <immintrin.h>

#include <cstring>

#include "engine/kernels/kernels.h"

namespace fastnst {
namespace {

constexpr int64_t kPicturePixels = 16;  // computed together

// sums[i] over groups of four lanes: in each quarter of the result, one number for each i.
inline __m512i sums_of_four(const __m512i (&sums)[4]) {
  const auto halves = [](__m512i a, __m512i b) {
    return _mm512_add_epi32(_mm512_unpacklo_epi32(a, b), _mm512_unpackhi_epi32(a, b));
  };
  const __m512i a = halves(sums[0], sums[1]), b = halves(sums[2], sums[3]);
  return _mm512_add_epi32(_mm512_unpacklo_epi64(a, b), _mm512_unpackhi_epi64(a, b));
}

// The sums of quarters 0 and 1, and 2 and 3, of a, then of b.
inline __m512i sums_of_quarters(__m512i a, __m512i b) {
  return _mm512_add_epi32(_mm512_shuffle_i32x4(a, b, 0x88), _mm512_shuffle_i32x4(a, b, 0xdd));
}

// `together` pixels share a vector of inputs, or one takes vectors of its own.
template <int together>
struct PictureTile {
  static constexpr int kParts = 4 / together;  // of the 16 pixels, computed one after the other

  // Lane of each pixel's sum.
  static __m512i order() {
    if constexpr (together == 4) return _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
    if constexpr (together == 2) return _mm512_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7, 8, 12, 9, 13, 10, 14, 11, 15);
    return _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
  }

  // 16 pixels from `source` on, into 48 bytes.
  static void run(const PictureRow& row, const uint8_t* source, uint8_t* target) {
    __m512i parts[3][kParts];
#pragma GCC unroll 4
    for (int part = 0; part < kParts; part++) add_taps(row, source + part * 4 * together * row.channels, part, parts);
    __m512i pixels = _mm512_setzero_si512();
#pragma GCC unroll 4
    for (int output = 0; output < 3; output++)
      pixels = _mm512_or_si512(pixels, _mm512_slli_epi32(numbers(row, joined(parts[output]), output), 8 * output));
    pixels = _mm512_permutexvar_epi32(order(), pixels);
    const __m512i tight = _mm512_broadcast_i32x4(_mm_setr_epi8(0, 1, 2, 4, 5, 6, 8, 9, 10, 12, 13, 14, -1, -1, -1, -1));
    const __m512i thirds = _mm512_setr_epi32(0, 1, 2, 4, 5, 6, 8, 9, 10, 12, 13, 14, 3, 7, 11, 15);
    _mm512_mask_storeu_epi32(target, 0x0fff, _mm512_permutexvar_epi32(thirds, _mm512_shuffle_epi8(pixels, tight)));
  }

 private:
  // The dot products of four vectors of pixels, a quarter of each lane's sum in place.
  static void add_taps(const PictureRow& row, const uint8_t* source, int part, __m512i (&parts)[3][kParts]) {
    __m512i sums[3][4];
    for (auto& output : sums)
      for (auto& sum : output) sum = _mm512_setzero_si512();
    const int8_t* weights = row.weights;
    const int64_t step = together * row.channels;
    const int64_t vectors = together > 1 ? 3 : 3 * row.channels / 64;  // of a row of a window, or of four
    for (int ky = 0; ky < 3; ky++)
      for (int64_t at = 0; at < vectors; at++, weights += 3 * 64) {
        const uint8_t* tap = source + ky * row.source_row + at * (together > 1 ? row.channels : 64);
        __m512i input[4];
#pragma GCC unroll 4
        for (int i = 0; i < 4; i++) {
          input[i] = _mm512_loadu_si512(tap + i * step);
          asm("" : "+v"(input[i]));  // loaded once: gcc would do it for each output
        }
#pragma GCC unroll 4
        for (int output = 0; output < 3; output++) {
          const __m512i w = _mm512_load_si512(weights + output * 64);
        // Assembly, because gcc copies every sum before and after the intrinsic.
#pragma GCC unroll 4
          for (int i = 0; i < 4; i++) asm("vpdpbusd %2, %1, %0" : "+v"(sums[output][i]) : "v"(input[i]), "v"(w));
        }
      }
#pragma GCC unroll 4
    for (int output = 0; output < 3; output++) parts[output][part] = sums_of_four(sums[output]);
  }

  static __m512i joined(const __m512i (&parts)[kParts]) {
    if constexpr (together == 4) return parts[0];
    if constexpr (together == 2) return sums_of_quarters(parts[0], parts[1]);
    if constexpr (together == 1)
      return sums_of_quarters(sums_of_quarters(parts[0], parts[1]), sums_of_quarters(parts[2], parts[3]));
  }

  // Sums without a bias into bytes, one in each lane.
  static __m512i numbers(const PictureRow& row, __m512i sums, int output) {
    constexpr int kNearest = _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC;
    sums = _mm512_add_epi32(sums, _mm512_set1_epi32(row.bias[output]));
    const __m512 scaled =
        _mm512_mul_round_ps(_mm512_cvt_roundepi32_ps(sums, kNearest), _mm512_set1_ps(row.multiplier[output]), kNearest);
    const __m512i whole = _mm512_add_epi32(_mm512_cvt_roundps_epi32(scaled, kNearest), _mm512_set1_epi32(row.zero));
    return _mm512_min_epi32(_mm512_max_epi32(whole, _mm512_setzero_si512()), _mm512_set1_epi32(255));
  }
};

template <int together>
void picture_tiles(const PictureRow& row) {
  int64_t x = 0;
  for (; x + kPicturePixels <= row.pixels; x += kPicturePixels)
    PictureTile<together>::run(row, row.source + x * row.channels, row.target + 3 * x);
  if (x == row.pixels) return;
  alignas(64) uint8_t rest[3 * kPicturePixels + 16];
  PictureTile<together>::run(row, row.source + x * row.channels, rest);
  std::memcpy(row.target + 3 * x, rest, 3 * (row.pixels - x));
}

inline void picture_row(const PictureRow& row) {
  if (row.channels == 16) return picture_tiles<4>(row);
  if (row.channels == 32) return picture_tiles<2>(row);
  picture_tiles<1>(row);
}

}  // namespace
}  // namespace fastnst
