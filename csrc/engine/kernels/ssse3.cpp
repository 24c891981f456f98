// x86 without AVX2: Intel's of before 2013 and its small ones of before 2021, AMD's of before 2015.
#include <tmmintrin.h>

#include "engine/kernels/short_sums.h"
#include "engine/kernels/vectors128.h"

namespace fastnst {
namespace {

struct Ssse3 {
  using Vector = __m128i;
  static constexpr int bytes = 16;
  static Vector load(const void* from) { return _mm_loadu_si128(static_cast<const __m128i*>(from)); }
  static Vector load_aligned(const int8_t* from) { return _mm_load_si128(reinterpret_cast<const __m128i*>(from)); }
  static void store(void* to, Vector vector) { _mm_storeu_si128(static_cast<__m128i*>(to), vector); }
  static Vector splat(int32_t lane) { return _mm_set1_epi32(lane); }
  static Vector dot_bytes(Vector a, Vector b) { return _mm_maddubs_epi16(a, b); }
  static Vector dot(Vector a, Vector b) { return _mm_madd_epi16(a, b); }
  static Vector add16(Vector a, Vector b) { return _mm_add_epi16(a, b); }
  static Vector add32(Vector a, Vector b) { return _mm_add_epi32(a, b); }
  static void accumulate(Vector& sum, Vector term) { asm volatile("paddd %1, %0" : "+x"(sum) : "x"(term)); }  // as in avx2.cpp
  static Vector low_bytes(Vector bytes) { return _mm_and_si128(bytes, _mm_set1_epi16(0x00ff)); }
  static Vector high_bytes(Vector bytes) { return _mm_srli_epi16(bytes, 8); }
  static Vector either(Vector a, Vector b) { return _mm_or_si128(a, b); }
  static bool has_high_bit(Vector bytes) { return _mm_movemask_epi8(bytes) != 0; }
  static Vector rounded(Vector sums, const float* multiplier) {
    return _mm_cvtps_epi32(_mm_mul_ps(_mm_cvtepi32_ps(sums), _mm_loadu_ps(multiplier)));
  }
  static Vector narrow(Vector low, Vector high) { return _mm_packs_epi32(low, high); }
  static Vector narrow_bytes(Vector low, Vector high) { return _mm_packus_epi16(low, high); }
  static Vector widen_low(Vector bytes) { return _mm_unpacklo_epi8(bytes, _mm_setzero_si128()); }
  static Vector widen_high(Vector bytes) { return _mm_unpackhi_epi8(bytes, _mm_setzero_si128()); }
  static Vector scaled(Vector words, int16_t scale) { return _mm_mulhrs_epi16(words, _mm_set1_epi16(scale)); }
  static Vector narrow_signed(Vector low, Vector high) {
    return _mm_xor_si128(_mm_packs_epi16(low, high), _mm_set1_epi8(-128));
  }
};

// Four pixels in two halves of a block: sixteen sums at a time do not fit into registers.
struct Ssse3Tile {
  static constexpr int max_blocks = 1;
  static constexpr bool short_sums = true;
  static constexpr int pixels(int) { return 4; }

  template <int blocks>
  static void run(const GroupRow& group, const uint8_t* source, uint8_t* target, ptrdiff_t target_pixel) {
    __m128i sums[4][4];
    add_half<0>(group, source, sums);
    add_half<2>(group, source, sums);
    for (int p = 0; p < 4; p++) write_sums<Ssse3>(group, sums[p], target + p * target_pixel);
  }

 private:
  // Vectors `first` and first + 1 of each pixel's sums.
  template <int first>
  static void add_half(const GroupRow& group, const uint8_t* source, __m128i (&sums)[4][4]) {
    __m128i half[4][2];
    for (auto& own : half)
      for (int v = 0; v < 2; v++) own[v] = Ssse3::load(group.bias + 4 * (first + v));
    ShortSums<Ssse3>::add<4 * first>(group, source, half);
    for (int p = 0; p < 4; p++)
      for (int v = 0; v < 2; v++) sums[p][first + v] = half[p][v];
  }
};

}  // namespace

extern const ProductKernels kSsse3Products;
const ProductKernels kSsse3Products = make_products<Ssse3Tile, Lanes128<Ssse3>>();
}  // namespace fastnst
