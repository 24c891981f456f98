// Products of bytes in pairs, by the instruction whose sums have 16 bits and saturate. ShortBlocks say which steps may be
// summed so: the weights that meet in one sum have been proved small enough (engine/short_sums.h). Only sums are widened.
#pragma once

#include "engine/kernels/avx256.h"

namespace fastnst {
namespace {

struct ShortTile {
  static constexpr int max_blocks = 1;
  static constexpr bool short_sums = true;
  static constexpr int pixels(int) { return 4; }

  template <int blocks>
  static void run(const GroupRow& group, const uint8_t* source, uint8_t* target, ptrdiff_t target_pixel) {
    Sums256 sums(group.bias);
    const ShortBlock& block = group.small != nullptr && is_small(*group.row, source) ? *group.small : *group.shorts;
    Reader reader{source, group.row->source_row, group.row->source_pixel, block.places, block.weights};
    add_together<4>(sums, reader, block.groups[4]);
    add_together<3>(sums, reader, block.groups[3]);
    add_together<2>(sums, reader, block.groups[2]);
    add_together<1>(sums, reader, block.groups[1]);
    add_widened(sums, reader, block.groups[0]);
    sums.put(group, target, target_pixel);
  }

 private:
  static_assert(kMaxTogether == 4 && kSmall == 127);

  // Whether none of the bytes from a tile's first to its last has the highest bit.
  static bool is_small(const ConvRow& row, const uint8_t* source) {
    const ptrdiff_t bytes = 3 * row.source_pixel + 4 * row.steps;
    if (bytes < 32) return false;  // a picture's, which is seldom that dark
    __m256i any = _mm256_setzero_si256();
    const auto add = [&](const uint8_t* from) {
      any = _mm256_or_si256(any, _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from)));
    };
    for (int64_t r = 0; r < row.rows; r++, source += row.source_row) {
      for (ptrdiff_t at = 0; at < bytes - 32; at += 32) add(source + at);
      add(source + bytes - 32);
    }
    return _mm256_movemask_epi8(any) == 0;
  }

  struct Reader {
    const uint8_t* source;
    ptrdiff_t source_row, source_pixel;
    const int32_t* places;
    const int8_t* weights;

    const uint8_t* run() { return source + *places++ * source_row; }
  };

  // Assembly, because gcc copies sums around the intrinsic, and volatile, because it would work on more pixels at once than
  // there are registers for.
  static void add(__m256i& sum, __m256i term) { asm volatile("vpaddd %1, %0, %0" : "+x"(sum) : "x"(term)); }

  static __m256i load(const int8_t* from) { return _mm256_load_si256(reinterpret_cast<const __m256i*>(from)); }

  template <int steps>
  static void add_together(Sums256& sums, Reader& reader, int32_t groups) {
    const __m256i one = _mm256_set1_epi16(1);
    const ptrdiff_t pixel = reader.source_pixel;
    for (; groups > 0; groups--, reader.weights += steps * 64) {
      const uint8_t *const run = reader.run(), *from[steps];
      for (int s = 0; s < steps; s++) from[s] = run + *reader.places++;
      const int8_t* w = reader.weights;
#pragma GCC unroll 4
      for (int p = 0; p < 4; p++) {
        __m256i input = four_bytes(from[0] + p * pixel);
        __m256i low = _mm256_maddubs_epi16(input, load(w)), high = _mm256_maddubs_epi16(input, load(w + 32));
#pragma GCC unroll 4
        for (int s = 1; s < steps; s++) {
          input = four_bytes(from[s] + p * pixel);
          low = _mm256_add_epi16(low, _mm256_maddubs_epi16(input, load(w + 64 * s)));
          high = _mm256_add_epi16(high, _mm256_maddubs_epi16(input, load(w + 64 * s + 32)));
        }
        add(sums.pixels[p][0], _mm256_madd_epi16(low, one));
        add(sums.pixels[p][1], _mm256_madd_epi16(high, one));
      }
    }
  }

  static void add_widened(Sums256& sums, Reader& reader, int32_t steps) {
    for (; steps > 0; steps--, reader.weights += 128) {
      const uint8_t* from = reader.run();
      from += *reader.places++;
      const int8_t* w = reader.weights;
#pragma GCC unroll 4
      for (int p = 0; p < 4; p++) {
        const __m256i input = four_bytes(from + p * reader.source_pixel);
        const __m256i even = _mm256_and_si256(input, _mm256_set1_epi16(0x00ff)), odd = _mm256_srli_epi16(input, 8);
#pragma GCC unroll 2
        for (int half = 0; half < 2; half++) {
          const __m256i evens = _mm256_madd_epi16(even, load(w + 64 * half));
          const __m256i odds = _mm256_madd_epi16(odd, load(w + 64 * half + 32));
          add(sums.pixels[p][half], _mm256_add_epi32(evens, odds));
        }
      }
    }
  }
};

}  // namespace
}  // namespace fastnst
