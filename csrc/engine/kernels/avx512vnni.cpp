// AVX-512 with VNNI. 24 accumulators of 16 lanes: 6 pixels x 64 channels, 12 x 32 or 24 x 16.
//
// The inner loops are assembly because gcc spills accumulators when it allocates this many registers itself and then runs at
// less than half the speed. All conversions name their rounding, so the caller's MXCSR does not matter.
#include <immintrin.h>

#ifndef __clang__  // gcc 12 takes the undefined values inside its own intrinsics for uninitialised variables of ours
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif

#include "engine/kernels/columns.h"
#include "engine/kernels/pairs.h"
#include "engine/kernels/picture.h"

namespace fastnst {
namespace {

// clang-format off: assembly is laid out by hand
#define DOT(acc, weight, input) "vpdpbusd %%zmm" #weight ", %%zmm" #input ", %%zmm" #acc "\n"
#define LOAD(address, input) "vpbroadcastd " address ", %%zmm" #input "\n"
#define BIAS(from, acc) "vmovdqa64 %%zmm" #from ", %%zmm" #acc "\n"
// acc -> float, times multiplier, to int
#define SCALE(acc, multiplier)                                                                \
  "vcvtdq2ps %{rn-sae%}, %%zmm" #acc ", %%zmm" #acc "\n vmulps %{rn-sae%}, %%zmm" #multiplier \
  ", %%zmm" #acc ", %%zmm" #acc "\n vcvtps2dq %{rn-sae%}, %%zmm" #acc ", %%zmm" #acc "\n"
// Four scaled accumulators, plus the zero point, saturated to bytes, in order in the first one. Packing interleaves within
// quarters; the permutation undoes it. zmm28 = zero point in words, zmm29 = the permutation.
#define PACK(r0, r1, r2, r3)                                                                                        \
  "vpackssdw %%zmm" #r1 ", %%zmm" #r0 ", %%zmm" #r0 "\n vpackssdw %%zmm" #r3 ", %%zmm" #r2 ", %%zmm" #r2            \
  "\n vpaddsw %%zmm28, %%zmm" #r0 ", %%zmm" #r0 "\n vpaddsw %%zmm28, %%zmm" #r2 ", %%zmm" #r2                       \
  "\n vpackuswb %%zmm" #r2 ", %%zmm" #r0 ", %%zmm" #r0 "\n vpermd %%zmm" #r0 ", %%zmm29, %%zmm" #r0 "\n"
#define NEXT "add %[tp], %[t]\n"
// One scaled accumulator, saturated to words, into its place.
#define WORDS(acc, multiplier, place) SCALE(acc, multiplier) "vpmovsdw %%zmm" #acc ", " #place "(%[t])\n"
// Jumps to the stores of sums, or of words, instead of bytes.
#define UNLESS_QUANTISED "cmpb $1, %[writes]\n ja 5f\n"
#define UNLESS_BYTES "cmpb $0, %[writes]\n jne 3f\n"
#define WORDS_ELSE "jmp 4f\n 3:\n"
#define SUMS_ELSE "jmp 4f\n 5:\n"
#define DONE "4:\n"
#define SUM(acc, place) "vmovdqu64 %%zmm" #acc ", " #place "(%[t])\n"

// Addresses of eight pixels from a base register, with s = 1, s3 = 3, s5 = 5, s7 = 7 source pixels.
#define AT0(base) "(%[" base "])"
#define AT1(base) "(%[" base "],%[s])"
#define AT2(base) "(%[" base "],%[s],2)"
#define AT3(base) "(%[" base "],%[s3])"
#define AT4(base) "(%[" base "],%[s],4)"
#define AT5(base) "(%[" base "],%[s5])"
#define AT6(base) "(%[" base "],%[s3],2)"
#define AT7(base) "(%[" base "],%[s7])"

#define ZMMS                                                                                                      \
  "zmm0", "zmm1", "zmm2", "zmm3", "zmm4", "zmm5", "zmm6", "zmm7", "zmm8", "zmm9", "zmm10", "zmm11", "zmm12",      \
      "zmm13", "zmm14", "zmm15", "zmm16", "zmm17", "zmm18", "zmm19", "zmm20", "zmm21", "zmm22", "zmm23", "zmm24", \
      "zmm25", "zmm26", "zmm27", "zmm28", "zmm29", "zmm30", "zmm31"

#define PREPARE_PACK "vpbroadcastw %[zero], %%zmm28\n vmovdqa64 %[order], %%zmm29\n"

alignas(64) constexpr int32_t kOrder[16] = {0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15};

struct Avx512Tile {
  static constexpr int max_blocks = 4;
  static constexpr int pixels(int blocks) { return 24 / blocks; }

  template <int blocks>
  static void run(const GroupRow& group, const uint8_t* source, uint8_t* target, ptrdiff_t target_pixel);
};

template <>
void Avx512Tile::run<4>(const GroupRow& group, const uint8_t* source, uint8_t* target, ptrdiff_t target_pixel) {
  const ConvRow& row = *group.row;
  const int8_t* w = group.weights;
  const ptrdiff_t s = row.source_pixel;
  const ptrdiff_t source_row = row.source_row;
  const int64_t steps = row.steps;
  const int16_t zero = int16_t(row.zero);
  const Numbers writes = row.writes;
  int64_t rows = row.rows, k;
  const uint8_t* a;
#define PIXEL(address, x, r0, r1, r2, r3) LOAD(address, x) DOT(r0, 24, x) DOT(r1, 25, x) DOT(r2, 26, x) DOT(r3, 27, x)
#define SUMS(r0, r1, r2, r3) SUM(r0, ) SUM(r1, 64) SUM(r2, 128) SUM(r3, 192) NEXT
#define WIDE(r0, r1, r2, r3) WORDS(r0, 24, ) WORDS(r1, 25, 32) WORDS(r2, 26, 64) WORDS(r3, 27, 96) NEXT
#define OUT(r0, r1, r2, r3) \
  SCALE(r0, 24) SCALE(r1, 25) SCALE(r2, 26) SCALE(r3, 27) PACK(r0, r1, r2, r3) "vmovdqu64 %%zmm" #r0 ", (%[t])\n" NEXT
  asm volatile(
      "vmovdqu64 (%[bias]), %%zmm0\n vmovdqu64 64(%[bias]), %%zmm1\n"
      "vmovdqu64 128(%[bias]), %%zmm2\n vmovdqu64 192(%[bias]), %%zmm3\n"
      BIAS(0, 4) BIAS(1, 5) BIAS(2, 6) BIAS(3, 7) BIAS(0, 8) BIAS(1, 9) BIAS(2, 10) BIAS(3, 11)
      BIAS(0, 12) BIAS(1, 13) BIAS(2, 14) BIAS(3, 15) BIAS(0, 16) BIAS(1, 17) BIAS(2, 18) BIAS(3, 19)
      BIAS(0, 20) BIAS(1, 21) BIAS(2, 22) BIAS(3, 23)
      "1: mov %[src], %[a]\n mov %[steps], %[k]\n .p2align 4\n"
      "2: vmovdqu64 (%[w]), %%zmm24\n vmovdqu64 64(%[w]), %%zmm25\n"
      "vmovdqu64 128(%[w]), %%zmm26\n vmovdqu64 192(%[w]), %%zmm27\n"
      PIXEL(AT0("a"), 28, 0, 1, 2, 3) PIXEL(AT1("a"), 29, 4, 5, 6, 7) PIXEL(AT2("a"), 30, 8, 9, 10, 11)
      PIXEL(AT3("a"), 31, 12, 13, 14, 15) PIXEL(AT4("a"), 28, 16, 17, 18, 19) PIXEL(AT5("a"), 29, 20, 21, 22, 23)
      "add $256, %[w]\n add $4, %[a]\n dec %[k]\n jnz 2b\n"
      "add %[sr], %[src]\n dec %[rows]\n jnz 1b\n"
      UNLESS_QUANTISED
      "vmovups (%[m]), %%zmm24\n vmovups 64(%[m]), %%zmm25\n vmovups 128(%[m]), %%zmm26\n vmovups 192(%[m]), %%zmm27\n"
      UNLESS_BYTES PREPARE_PACK
      OUT(0, 1, 2, 3) OUT(4, 5, 6, 7) OUT(8, 9, 10, 11) OUT(12, 13, 14, 15) OUT(16, 17, 18, 19) OUT(20, 21, 22, 23)
      WORDS_ELSE
      WIDE(0, 1, 2, 3) WIDE(4, 5, 6, 7) WIDE(8, 9, 10, 11) WIDE(12, 13, 14, 15) WIDE(16, 17, 18, 19) WIDE(20, 21, 22, 23)
      SUMS_ELSE
      SUMS(0, 1, 2, 3) SUMS(4, 5, 6, 7) SUMS(8, 9, 10, 11) SUMS(12, 13, 14, 15) SUMS(16, 17, 18, 19) SUMS(20, 21, 22, 23)
      DONE
      : [src] "+r"(source), [w] "+r"(w), [rows] "+r"(rows), [a] "=&r"(a), [k] "=&r"(k), [t] "+r"(target)
      : [s] "r"(s), [s3] "r"(3 * s), [s5] "r"(5 * s), [sr] "m"(source_row), [steps] "m"(steps),
        [bias] "r"(group.bias), [m] "r"(group.multiplier), [zero] "m"(zero), [order] "m"(kOrder), [tp] "m"(target_pixel),
        [writes] "m"(writes)
      : ZMMS, "cc", "memory");
#undef PIXEL
#undef SUMS
#undef WIDE
#undef OUT
}

template <>
void Avx512Tile::run<2>(const GroupRow& group, const uint8_t* source, uint8_t* target, ptrdiff_t target_pixel) {
  const ConvRow& row = *group.row;
  const int8_t* w = group.weights;
  const ptrdiff_t s = row.source_pixel;
  const ptrdiff_t source_row = row.source_row;
  const int64_t steps = row.steps;
  const int16_t zero = int16_t(row.zero);
  const Numbers writes = row.writes;
  int64_t rows = row.rows, k;
  const uint8_t *a, *b;
#define PIXEL(address, x, r0, r1) LOAD(address, x) DOT(r0, 24, x) DOT(r1, 25, x)
#define SUMS(r0, r1) SUM(r0, ) SUM(r1, 64) NEXT
#define WIDE(r0, r1) WORDS(r0, 24, ) WORDS(r1, 25, 32) NEXT
#define OUT(r0, r1, r2, r3)                                                                                  \
  SCALE(r0, 24) SCALE(r1, 25) SCALE(r2, 24) SCALE(r3, 25) PACK(r0, r1, r2, r3) "vmovdqu64 %%ymm" #r0 ", (%[t])\n" \
  NEXT "vextracti64x4 $1, %%zmm" #r0 ", (%[t])\n" NEXT
  asm volatile(
      "vmovdqu64 (%[bias]), %%zmm0\n vmovdqu64 64(%[bias]), %%zmm1\n"
      BIAS(0, 2) BIAS(1, 3) BIAS(0, 4) BIAS(1, 5) BIAS(0, 6) BIAS(1, 7) BIAS(0, 8) BIAS(1, 9) BIAS(0, 10) BIAS(1, 11)
      BIAS(0, 12) BIAS(1, 13) BIAS(0, 14) BIAS(1, 15) BIAS(0, 16) BIAS(1, 17) BIAS(0, 18) BIAS(1, 19)
      BIAS(0, 20) BIAS(1, 21) BIAS(0, 22) BIAS(1, 23)
      "1: mov %[src], %[a]\n lea (%[src],%[s],8), %[b]\n mov %[steps], %[k]\n .p2align 4\n"
      "2: vmovdqu64 (%[w]), %%zmm24\n vmovdqu64 64(%[w]), %%zmm25\n"
      PIXEL(AT0("a"), 26, 0, 1) PIXEL(AT1("a"), 27, 2, 3) PIXEL(AT2("a"), 28, 4, 5) PIXEL(AT3("a"), 29, 6, 7)
      PIXEL(AT4("a"), 30, 8, 9) PIXEL(AT5("a"), 31, 10, 11) PIXEL(AT6("a"), 26, 12, 13) PIXEL(AT7("a"), 27, 14, 15)
      PIXEL(AT0("b"), 28, 16, 17) PIXEL(AT1("b"), 29, 18, 19) PIXEL(AT2("b"), 30, 20, 21) PIXEL(AT3("b"), 31, 22, 23)
      "add $128, %[w]\n add $4, %[a]\n add $4, %[b]\n dec %[k]\n jnz 2b\n"
      "add %[sr], %[src]\n decq %[rows]\n jnz 1b\n"
      UNLESS_QUANTISED
      "vmovups (%[m]), %%zmm24\n vmovups 64(%[m]), %%zmm25\n"
      UNLESS_BYTES PREPARE_PACK
      OUT(0, 1, 2, 3) OUT(4, 5, 6, 7) OUT(8, 9, 10, 11) OUT(12, 13, 14, 15) OUT(16, 17, 18, 19) OUT(20, 21, 22, 23)
      WORDS_ELSE
      WIDE(0, 1) WIDE(2, 3) WIDE(4, 5) WIDE(6, 7) WIDE(8, 9) WIDE(10, 11)
      WIDE(12, 13) WIDE(14, 15) WIDE(16, 17) WIDE(18, 19) WIDE(20, 21) WIDE(22, 23)
      SUMS_ELSE
      SUMS(0, 1) SUMS(2, 3) SUMS(4, 5) SUMS(6, 7) SUMS(8, 9) SUMS(10, 11)
      SUMS(12, 13) SUMS(14, 15) SUMS(16, 17) SUMS(18, 19) SUMS(20, 21) SUMS(22, 23)
      DONE
      : [src] "+r"(source), [w] "+r"(w), [rows] "+m"(rows), [a] "=&r"(a), [b] "=&r"(b), [k] "=&r"(k), [t] "+r"(target)
      : [s] "r"(s), [s3] "r"(3 * s), [s5] "r"(5 * s), [s7] "r"(7 * s), [sr] "m"(source_row),
        [steps] "m"(steps), [bias] "r"(group.bias), [m] "r"(group.multiplier), [zero] "m"(zero), [order] "m"(kOrder),
        [tp] "m"(target_pixel),
        [writes] "m"(writes)
      : ZMMS, "cc", "memory");
#undef PIXEL
#undef SUMS
#undef WIDE
#undef OUT
}

template <>
void Avx512Tile::run<1>(const GroupRow& group, const uint8_t* source, uint8_t* target, ptrdiff_t target_pixel) {
  const ConvRow& row = *group.row;
  const int8_t* w = group.weights;
  const ptrdiff_t s = row.source_pixel, step = group.weight_step;
  const ptrdiff_t source_row = row.source_row;
  const int64_t steps = row.steps;
  const int16_t zero = int16_t(row.zero);
  const Numbers writes = row.writes;
  int64_t rows = row.rows, k;
  const uint8_t *a, *b, *c;
#define PIXEL(address, x, r0) LOAD(address, x) DOT(r0, 24, x)
#define SUMS(r0) SUM(r0, ) NEXT
#define WIDE(r0) WORDS(r0, 24, ) NEXT
#define OUT(r0, r1, r2, r3)                                                                                  \
  SCALE(r0, 24) SCALE(r1, 24) SCALE(r2, 24) SCALE(r3, 24) PACK(r0, r1, r2, r3) "vmovdqu64 %%xmm" #r0 ", (%[t])\n" \
  NEXT "vextracti32x4 $1, %%zmm" #r0 ", (%[t])\n" NEXT "vextracti32x4 $2, %%zmm" #r0 ", (%[t])\n"              \
  NEXT "vextracti32x4 $3, %%zmm" #r0 ", (%[t])\n" NEXT
  asm volatile(
      "vmovdqu64 (%[bias]), %%zmm0\n"
      BIAS(0, 1) BIAS(0, 2) BIAS(0, 3) BIAS(0, 4) BIAS(0, 5) BIAS(0, 6) BIAS(0, 7) BIAS(0, 8) BIAS(0, 9) BIAS(0, 10)
      BIAS(0, 11) BIAS(0, 12) BIAS(0, 13) BIAS(0, 14) BIAS(0, 15) BIAS(0, 16) BIAS(0, 17) BIAS(0, 18) BIAS(0, 19)
      BIAS(0, 20) BIAS(0, 21) BIAS(0, 22) BIAS(0, 23)
      "1: mov %[src], %[a]\n lea (%[src],%[s],8), %[b]\n lea (%[b],%[s],8), %[c]\n mov %[steps], %[k]\n .p2align 4\n"
      "2: vmovdqu64 (%[w]), %%zmm24\n"
      PIXEL(AT0("a"), 25, 0) PIXEL(AT1("a"), 26, 1) PIXEL(AT2("a"), 27, 2) PIXEL(AT3("a"), 28, 3)
      PIXEL(AT4("a"), 29, 4) PIXEL(AT5("a"), 30, 5) PIXEL(AT6("a"), 31, 6) PIXEL(AT7("a"), 25, 7)
      PIXEL(AT0("b"), 26, 8) PIXEL(AT1("b"), 27, 9) PIXEL(AT2("b"), 28, 10) PIXEL(AT3("b"), 29, 11)
      PIXEL(AT4("b"), 30, 12) PIXEL(AT5("b"), 31, 13) PIXEL(AT6("b"), 25, 14) PIXEL(AT7("b"), 26, 15)
      PIXEL(AT0("c"), 27, 16) PIXEL(AT1("c"), 28, 17) PIXEL(AT2("c"), 29, 18) PIXEL(AT3("c"), 30, 19)
      PIXEL(AT4("c"), 31, 20) PIXEL(AT5("c"), 25, 21) PIXEL(AT6("c"), 26, 22) PIXEL(AT7("c"), 27, 23)
      "add %[step], %[w]\n add $4, %[a]\n add $4, %[b]\n add $4, %[c]\n dec %[k]\n jnz 2b\n"
      "add %[sr], %[src]\n decq %[rows]\n jnz 1b\n"
      UNLESS_QUANTISED
      "vmovups (%[m]), %%zmm24\n"
      UNLESS_BYTES PREPARE_PACK
      OUT(0, 1, 2, 3) OUT(4, 5, 6, 7) OUT(8, 9, 10, 11) OUT(12, 13, 14, 15) OUT(16, 17, 18, 19) OUT(20, 21, 22, 23)
      WORDS_ELSE
      WIDE(0) WIDE(1) WIDE(2) WIDE(3) WIDE(4) WIDE(5) WIDE(6) WIDE(7) WIDE(8) WIDE(9) WIDE(10) WIDE(11)
      WIDE(12) WIDE(13) WIDE(14) WIDE(15) WIDE(16) WIDE(17) WIDE(18) WIDE(19) WIDE(20) WIDE(21) WIDE(22) WIDE(23)
      SUMS_ELSE
      SUMS(0) SUMS(1) SUMS(2) SUMS(3) SUMS(4) SUMS(5) SUMS(6) SUMS(7) SUMS(8) SUMS(9) SUMS(10) SUMS(11)
      SUMS(12) SUMS(13) SUMS(14) SUMS(15) SUMS(16) SUMS(17) SUMS(18) SUMS(19) SUMS(20) SUMS(21) SUMS(22) SUMS(23)
      DONE
      : [src] "+r"(source), [w] "+r"(w), [rows] "+m"(rows), [a] "=&r"(a), [b] "=&r"(b), [c] "=&r"(c), [k] "=&r"(k),
        [t] "+r"(target)
      : [s] "r"(s), [s3] "r"(3 * s), [s5] "r"(5 * s), [s7] "r"(7 * s), [sr] "m"(source_row), [step] "m"(step),
        [steps] "m"(steps), [bias] "r"(group.bias), [m] "r"(group.multiplier), [zero] "m"(zero), [order] "m"(kOrder),
        [tp] "m"(target_pixel),
        [writes] "m"(writes)
      : ZMMS, "cc", "memory");
#undef PIXEL
#undef SUMS
#undef WIDE
#undef OUT
}

// clang-format on

struct Avx512Lanes {
  static constexpr int tile = 16;
  using Vector = __m512i;
  using Sums = __m512i;
  static Sums zero() { return _mm512_setzero_si512(); }
  static Vector load(const void* from) { return _mm512_loadu_si512(from); }
  static void add(Sums& sums, uint32_t factor, Vector vector) {
    sums = _mm512_dpwssd_epi32(sums, _mm512_set1_epi32(int32_t(factor)), vector);
  }
  static void store(int32_t* to, Sums sums) { _mm512_storeu_si512(to, sums); }
};

struct Avx512Columns {
  static constexpr int channels = 64;
  using Vector = __m512i;
  using Weights = __m512i;

  // 16 bytes from each of four places `step` bytes apart.
  static Vector quarters(const void* from, ptrdiff_t step) {
    const auto load = [&](int place) {
      return _mm_loadu_si128(reinterpret_cast<const __m128i*>(static_cast<const uint8_t*>(from) + place * step));
    };
    const __m256i low = _mm256_inserti128_si256(_mm256_castsi128_si256(load(0)), load(1), 1);
    const __m256i high = _mm256_inserti128_si256(_mm256_castsi128_si256(load(2)), load(3), 1);
    return _mm512_inserti64x4(_mm512_castsi256_si512(low), high, 1);
  }
  static Weights weights(const int8_t* from, ptrdiff_t step) { return quarters(from, step); }
  static void interleave(const uint8_t* above, const uint8_t* beside, const uint8_t* below, Vector (&out)[4]) {
    const __m512i a = _mm512_loadu_si512(above), b = _mm512_loadu_si512(beside), c = _mm512_loadu_si512(below);
    const __m512i zero = _mm512_setzero_si512();
    const __m512i ab_low = _mm512_unpacklo_epi8(a, b), ab_high = _mm512_unpackhi_epi8(a, b);
    const __m512i c_low = _mm512_unpacklo_epi8(c, zero), c_high = _mm512_unpackhi_epi8(c, zero);
    out[0] = _mm512_unpacklo_epi16(ab_low, c_low), out[1] = _mm512_unpackhi_epi16(ab_low, c_low);
    out[2] = _mm512_unpacklo_epi16(ab_high, c_high), out[3] = _mm512_unpackhi_epi16(ab_high, c_high);
  }
  static Vector dot(Vector acc, Vector input, Weights w) { return _mm512_dpbusd_epi32(acc, input, w); }
  static void put(const Vector (&sums)[4], const Vector (&multiplier)[4], int16_t* to) {
    constexpr int kNearest = _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC;
    const auto scaled = [&](int i) {
      const __m512 sum = _mm512_cvt_roundepi32_ps(sums[i], kNearest);
      return _mm512_cvt_roundps_epi32(_mm512_mul_round_ps(sum, _mm512_castsi512_ps(multiplier[i]), kNearest), kNearest);
    };
    const __m512i low = _mm512_packs_epi32(scaled(0), scaled(1)), high = _mm512_packs_epi32(scaled(2), scaled(3));
    _mm512_storeu_si512(to, _mm512_permutex2var_epi64(low, _mm512_setr_epi64(0, 1, 8, 9, 2, 3, 10, 11), high));
    _mm512_storeu_si512(to + 32, _mm512_permutex2var_epi64(low, _mm512_setr_epi64(4, 5, 12, 13, 6, 7, 14, 15), high));
  }
};

struct Avx512Windows {
  static constexpr int channels = 64;
  using Vector [[gnu::vector_size(64)]] = int16_t;
  static void load(const uint8_t* from, Vector& low, Vector& high) {
    const __m512i bytes = _mm512_loadu_si512(from), zero = _mm512_setzero_si512();
    low = reinterpret_cast<Vector>(_mm512_unpacklo_epi8(bytes, zero));
    high = reinterpret_cast<Vector>(_mm512_unpackhi_epi8(bytes, zero));
  }
  template <bool centre>
  static void store(uint8_t* to, Vector low, Vector high, int16_t scale) {
    const __m512i factor = _mm512_set1_epi16(scale);
    const __m512i a = _mm512_mulhrs_epi16(reinterpret_cast<__m512i>(low), factor);
    const __m512i b = _mm512_mulhrs_epi16(reinterpret_cast<__m512i>(high), factor);
    const __m512i bytes =
        centre ? _mm512_packus_epi16(a, b) : _mm512_xor_si512(_mm512_packs_epi16(a, b), _mm512_set1_epi8(-128));
    _mm512_storeu_si512(to, bytes);
  }
  // Four vectors of floats, rounded, plus the zero point, saturated to bytes. Packing interleaves within quarters.
  static void pack(uint8_t* to, const Floats (&values)[4], int32_t zero) {
    constexpr int kNearest = _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC;
    const auto whole = [&](int i) { return _mm512_cvt_roundps_epi32(reinterpret_cast<__m512>(values[i]), kNearest); };
    const __m512i shift = _mm512_set1_epi16(int16_t(zero));
    const __m512i low = _mm512_adds_epi16(_mm512_packs_epi32(whole(0), whole(1)), shift);
    const __m512i high = _mm512_adds_epi16(_mm512_packs_epi32(whole(2), whole(3)), shift);
    const __m512i order = _mm512_load_si512(kOrder);
    _mm512_storeu_si512(to, _mm512_permutexvar_epi32(order, _mm512_packus_epi16(low, high)));
  }
};

}  // namespace

extern const ProductKernels kAvx512VnniProducts;
const ProductKernels kAvx512VnniProducts =
    make_products<Avx512Tile, Avx512Lanes>(depthwise_columns<Avx512Columns>, picture_row);
extern const LoopKernels kAvx512VnniLoops;
const LoopKernels kAvx512VnniLoops = make_loops<Avx512Windows>();

}  // namespace fastnst
