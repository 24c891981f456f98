// The 256-bit x86 paths: tiles of 4 pixels x 16 channels in eight accumulators, and what else is done in vectors of this
// length. The including file gives `Dot`, which adds to each of 8 lanes four products of bytes, or two of 16 bits.
#pragma once

#include <immintrin.h>

#include "engine/kernels/columns.h"
#include "engine/kernels/pairs.h"

namespace fastnst {
namespace {

// Sixteen accumulators as words, saturated.
inline __m256i quantised(__m256i low, __m256i high, const float* multiplier, int32_t zero) {
  const __m256i shift = _mm256_set1_epi32(zero);
  const auto scaled = [&](__m256i acc, const float* m) {
    const __m256 product = _mm256_mul_ps(_mm256_cvtepi32_ps(acc), _mm256_loadu_ps(m));
    return _mm256_add_epi32(_mm256_cvtps_epi32(product), shift);
  };
  const __m256i a = scaled(low, multiplier), b = scaled(high, multiplier + 8);
  // Packing works within 128-bit halves; the permutation puts the quarters back in order.
  return _mm256_permute4x64_epi64(_mm256_packs_epi32(a, b), 0xd8);
}

// The accumulators of 4 pixels x 16 channels.
struct Sums256 {
  __m256i pixels[4][2];

  explicit Sums256(const int32_t* bias) {
    const __m256i* from = reinterpret_cast<const __m256i*>(bias);
    const __m256i low = _mm256_loadu_si256(from), high = _mm256_loadu_si256(from + 1);
#pragma GCC unroll 4
    for (int p = 0; p < 4; p++) pixels[p][0] = low, pixels[p][1] = high;
  }

  // As the numbers that the row wants.
  void put(const GroupRow& group, uint8_t* target, ptrdiff_t target_pixel) const {
    const ConvRow& row = *group.row;
#pragma GCC unroll 4  // or the accumulators would be in memory, always
    for (int p = 0; p < 4; p++) {
      uint8_t* to = target + p * target_pixel;
      if (row.writes == Numbers::sums) {
        _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), pixels[p][0]);
        _mm256_storeu_si256(reinterpret_cast<__m256i*>(to) + 1, pixels[p][1]);
        continue;
      }
      const bool wide = row.writes == Numbers::words;
      const __m256i words = quantised(pixels[p][0], pixels[p][1], group.multiplier, wide ? 0 : row.zero);
      if (wide)
        _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), words);
      else
        _mm_storeu_si128(reinterpret_cast<__m128i*>(to),
                         _mm_packus_epi16(_mm256_castsi256_si128(words), _mm256_extracti128_si256(words, 1)));
    }
  }
};

// The four bytes from here on in every lane.
inline __m256i four_bytes(const uint8_t* from) {
  int32_t bytes;
  std::memcpy(&bytes, from, 4);
  return _mm256_set1_epi32(bytes);
}

template <typename Dot>
struct Avx256Tile {
  static constexpr int max_blocks = 1;
  static constexpr int pixels(int) { return 4; }

  template <int blocks>
  static void run(const GroupRow& group, const uint8_t* source, uint8_t* target, ptrdiff_t target_pixel) {
    const ConvRow& row = *group.row;
    Sums256 sums(group.bias);
    const int8_t* w = group.weights;
    for (int64_t r = 0; r < row.rows; r++) {
      const uint8_t* run = source + r * row.source_row;
      for (int64_t s = 0; s < row.steps; s++, run += 4, w += group.weight_step) {
        const typename Dot::Weights first = Dot::load(w), second = Dot::load(w + 32);
#pragma GCC unroll 4  // or the accumulators would be in memory
        for (int p = 0; p < 4; p++) {
          const __m256i input = four_bytes(run + p * row.source_pixel);
          sums.pixels[p][0] = Dot::add(sums.pixels[p][0], input, first);
          sums.pixels[p][1] = Dot::add(sums.pixels[p][1], input, second);
        }
      }
    }
    sums.put(group, target, target_pixel);
  }
};

template <typename Dot>
struct Avx256Lanes {
  static constexpr int tile = 4;
  struct Vector {
    __m256i low, high;
  };
  using Sums = Vector;
  static Sums zero() { return {_mm256_setzero_si256(), _mm256_setzero_si256()}; }
  static Vector load(const void* from) {
    const __m256i* halves = static_cast<const __m256i*>(from);
    return {_mm256_loadu_si256(halves), _mm256_loadu_si256(halves + 1)};
  }
  static void add(Sums& sums, uint32_t factor, const Vector& vector) {
    const __m256i pair = _mm256_set1_epi32(int32_t(factor));
    sums.low = Dot::add_pairs(sums.low, pair, vector.low);
    sums.high = Dot::add_pairs(sums.high, pair, vector.high);
  }
  static void store(int32_t* to, const Sums& sums) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), sums.low);
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(to) + 1, sums.high);
  }
};

struct Avx256Windows {
  static constexpr int channels = 32;
  using Vector [[gnu::vector_size(32)]] = int16_t;
  static void load(const uint8_t* from, Vector& low, Vector& high) {
    const __m256i bytes = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from)), zero = _mm256_setzero_si256();
    low = reinterpret_cast<Vector>(_mm256_unpacklo_epi8(bytes, zero));
    high = reinterpret_cast<Vector>(_mm256_unpackhi_epi8(bytes, zero));
  }
  template <bool centre>
  static void store(uint8_t* to, Vector low, Vector high, int16_t scale) {
    const __m256i factor = _mm256_set1_epi16(scale);
    const __m256i a = _mm256_mulhrs_epi16(reinterpret_cast<__m256i>(low), factor);
    const __m256i b = _mm256_mulhrs_epi16(reinterpret_cast<__m256i>(high), factor);
    const __m256i bytes =
        centre ? _mm256_packus_epi16(a, b) : _mm256_xor_si256(_mm256_packs_epi16(a, b), _mm256_set1_epi8(-128));
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), bytes);
  }
};

template <typename Dot>
struct Avx256Columns {
  static constexpr int channels = 32;
  using Vector = __m256i;
  using Weights = typename Dot::Weights;

  // 16 bytes from each of two places `step` bytes apart.
  static Vector quarters(const void* from, ptrdiff_t step) {
    const uint8_t* bytes = static_cast<const uint8_t*>(from);
    return _mm256_loadu2_m128i(reinterpret_cast<const __m128i*>(bytes + step), reinterpret_cast<const __m128i*>(bytes));
  }
  static Weights weights(const int8_t* from, ptrdiff_t step) {
    alignas(32) int8_t both[32];
    _mm256_store_si256(reinterpret_cast<__m256i*>(both), quarters(from, step));
    return Dot::load(both);
  }
  static void interleave(const uint8_t* above, const uint8_t* beside, const uint8_t* below, Vector (&out)[4]) {
    const auto load = [](const uint8_t* from) { return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from)); };
    const __m256i a = load(above), b = load(beside), c = load(below), zero = _mm256_setzero_si256();
    const __m256i ab_low = _mm256_unpacklo_epi8(a, b), ab_high = _mm256_unpackhi_epi8(a, b);
    const __m256i c_low = _mm256_unpacklo_epi8(c, zero), c_high = _mm256_unpackhi_epi8(c, zero);
    out[0] = _mm256_unpacklo_epi16(ab_low, c_low), out[1] = _mm256_unpackhi_epi16(ab_low, c_low);
    out[2] = _mm256_unpacklo_epi16(ab_high, c_high), out[3] = _mm256_unpackhi_epi16(ab_high, c_high);
  }
  static Vector dot(Vector acc, Vector input, const Weights& w) { return Dot::add(acc, input, w); }
  static void put(const Vector (&sums)[4], const Vector (&multiplier)[4], int16_t* to) {
    const auto scaled = [&](int i) {
      return _mm256_cvtps_epi32(_mm256_mul_ps(_mm256_cvtepi32_ps(sums[i]), _mm256_castsi256_ps(multiplier[i])));
    };
    const __m256i low = _mm256_packs_epi32(scaled(0), scaled(1)), high = _mm256_packs_epi32(scaled(2), scaled(3));
    __m256i* target = reinterpret_cast<__m256i*>(to);
    _mm256_storeu_si256(target, _mm256_permute2x128_si256(low, high, 0x20));
    _mm256_storeu_si256(target + 1, _mm256_permute2x128_si256(low, high, 0x31));
  }
};

}  // namespace
}  // namespace fastnst
