// AMX: products of tiles, each of 16 rows of at most 64 bytes, for convolutions. All else is that of AVX-512 with VNNI.
//
// The instructions stand as assembly because compilers take the tiles' numbers from macros alone, and want flags for them that
// they would then use elsewhere too.
#include <immintrin.h>

#ifndef __clang__  // gcc 12 takes the undefined values inside its own intrinsics for uninitialised variables of ours
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif

#include <array>

#include "engine/kernels/generic.h"

namespace fastnst {

extern const ProductKernels kAvx512VnniProducts;

namespace {

constexpr int kTileRows = 16;
constexpr int kMostTogether = 16;  // steps of 4 bytes in a row of a tile
constexpr int kLeastTogether = 8;  // fewer would leave more than half of a tile empty

// For a run of so many steps: how many of them, the same number each time, a tile takes.
constexpr auto kTogether = [] {
  std::array<uint8_t, 512> together{};
  for (int steps = 1; steps < int(together.size()); steps++)
    for (int count = 1; count <= kMostTogether; count++)
      if (steps % count == 0) together[size_t(steps)] = uint8_t(count);
  return together;
}();

// Tiles 0 to 3 have sums of 16 pixels by 16 outputs, 4 and 5 the inputs of 16 pixels, 6 and 7 weights of 16 outputs.
struct alignas(64) Shapes {
  uint8_t palette = 1, unused[15] = {};
  uint16_t row_bytes[16] = {};
  uint8_t rows[16] = {};
  explicit Shapes(int together) {
    for (int tile = 0; tile < 8; tile++) {
      row_bytes[tile] = uint16_t(tile == 4 || tile == 5 ? together * 4 : 64);
      rows[tile] = uint8_t(tile >= 6 ? together : kTileRows);
    }
  }
};

template <int tile>
inline void load(const void* from, ptrdiff_t step) {
  asm volatile("tileloadd (%0,%1,1), %%tmm%c2" ::"r"(from), "r"(step), "i"(tile) : "memory");
}

template <int tile>
inline void store(void* to, ptrdiff_t step) {
  asm volatile("tilestored %%tmm%c2, (%0,%1,1)" ::"r"(to), "r"(step), "i"(tile) : "memory");
}

template <int sums, int inputs, int weights>
inline void multiply() {
  asm volatile("tdpbusd %%tmm%c2, %%tmm%c1, %%tmm%c0" ::"i"(sums), "i"(inputs), "i"(weights));
}

// For i = 0, 1 ... count - 1, each a constant.
template <int count, typename Body>
inline void each(Body&& body) {
  [&]<int... i>(std::integer_sequence<int, i...>) {
    (body(std::integral_constant<int, i>()), ...);
  }(std::make_integer_sequence<int, count>());
}

struct AmxTile {
  static constexpr int max_blocks = 2;
  static constexpr int pixels(int blocks) { return 4 / blocks * kTileRows; }

  template <int blocks>
  static void run(const GroupRow& group, const uint8_t* source, uint8_t* target, ptrdiff_t target_pixel) {
    constexpr int kAcross = 4 / blocks;  // tiles of pixels
    const ConvRow& row = *group.row;
    // Copies: the compiler takes whatever a tile's instruction may have written for changed.
    const int64_t steps = row.steps, together = kTogether[size_t(steps)];
    const ptrdiff_t source_pixel = row.source_pixel, source_row = row.source_row, step = group.weight_step;
    const int32_t* const bias = group.bias;
    const int8_t* w = group.weights;
    each<4>([=](auto sums) { load<sums>(bias + sums % blocks * kLanes, 0); });
    for (int64_t rows = row.rows; rows > 0; rows--, source += source_row) {
      const uint8_t* inputs = source;
      for (int64_t left = steps; left > 0; left -= together, w += together * step, inputs += together * 4) {
        each<blocks>([=](auto block) { load<6 + block>(w + block * kLanes * 4, step); });
        each<kAcross>([=](auto across) {
          load<4 + across % 2>(inputs + across * kTileRows * source_pixel, source_pixel);
          multiply<across * blocks, 4 + across % 2, 6>();
          if constexpr (blocks == 2) multiply<across * blocks + 1, 4 + across % 2, 7>();
        });
      }
    }
    alignas(64) int32_t sums[pixels(blocks)][blocks][kLanes];
    each<4>([&](auto tile) {
      store<tile>(sums[tile / blocks * kTileRows][tile % blocks], blocks * kLanes * int(sizeof(int32_t)));
    });
    __m512 multiplier[blocks];
    for (int block = 0; block < blocks; block++) multiplier[block] = _mm512_loadu_ps(group.multiplier + block * kLanes);
    const auto scaled = [&](int pixel, int block) {
      constexpr int kNearest = _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC;
      const __m512 sum = _mm512_cvt_roundepi32_ps(_mm512_load_si512(sums[pixel][block]), kNearest);
      return _mm512_cvt_roundps_epi32(_mm512_mul_round_ps(sum, multiplier[block], kNearest), kNearest);
    };
    if (row.writes == Numbers::words) {
      for (int pixel = 0; pixel < pixels(blocks); pixel++, target += target_pixel)
        for (int block = 0; block < blocks; block++)
          _mm256_storeu_si256(reinterpret_cast<__m256i*>(target) + block, _mm512_cvtsepi32_epi16(scaled(pixel, block)));
      return;
    }
    // Four vectors, plus the zero point, saturated to bytes. Packing interleaves within quarters.
    const __m512i zero = _mm512_set1_epi16(int16_t(row.zero));
    const __m512i order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
    for (int pixel = 0; pixel < pixels(blocks); pixel += 4 / blocks) {
      const auto vector = [&](int i) { return scaled(pixel + i / blocks, i % blocks); };
      const __m512i low = _mm512_adds_epi16(_mm512_packs_epi32(vector(0), vector(1)), zero);
      const __m512i high = _mm512_adds_epi16(_mm512_packs_epi32(vector(2), vector(3)), zero);
      const __m512i bytes = _mm512_permutexvar_epi32(order, _mm512_packus_epi16(low, high));
      if constexpr (blocks == 2) {
        _mm256_storeu_si256(reinterpret_cast<__m256i*>(target), _mm512_castsi512_si256(bytes));
        _mm256_storeu_si256(reinterpret_cast<__m256i*>(target + target_pixel), _mm512_extracti64x4_epi64(bytes, 1));
      } else {
        _mm_storeu_si128(reinterpret_cast<__m128i*>(target), _mm512_castsi512_si128(bytes));
        _mm_storeu_si128(reinterpret_cast<__m128i*>(target + target_pixel), _mm512_extracti32x4_epi32(bytes, 1));
        _mm_storeu_si128(reinterpret_cast<__m128i*>(target + 2 * target_pixel), _mm512_extracti32x4_epi32(bytes, 2));
        _mm_storeu_si128(reinterpret_cast<__m128i*>(target + 3 * target_pixel), _mm512_extracti32x4_epi32(bytes, 3));
      }
      target += 4 / blocks * target_pixel;
    }
  }
};

void amx_row(const ConvRow& row) {
  // Winograd's products are short: what tiles win in multiplying them is lost in filling and emptying tiles.
  if (row.writes == Numbers::sums) return kAvx512VnniProducts.conv_row(row);
  // A row that is shorter than the tiles reads beyond its end, which goes for kOverread pixels.
  const int64_t widest = AmxTile::pixels(row.blocks % 2 == 1 ? 1 : 2);
  const bool fits = row.steps < int64_t(kTogether.size()) && kTogether[size_t(row.steps)] >= kLeastTogether;
  if (!fits || row.pixels + kOverread < widest) return kAvx512VnniProducts.conv_row(row);
  const Shapes shapes(kTogether[size_t(row.steps)]);
  asm volatile("ldtilecfg %0" ::"m"(shapes));
  conv_row<AmxTile>(row);
  asm volatile("tilerelease");
}

}  // namespace

extern const ProductKernels kAmxProducts;
const ProductKernels kAmxProducts = [] {
  ProductKernels kernels = kAvx512VnniProducts;
  kernels.conv_row = amx_row;
  return kernels;
}();

}  // namespace fastnst
