// AVX2 without dot-product instructions. The obvious pair multiply (vpmaddubsw) saturates at 16 bits: it is used where a bound
// proves that it cannot, and elsewhere bytes are widened to 16 bits first. The same bytes as everywhere else.
#include "engine/kernels/avx256.h"
#include "engine/kernels/short_sums.h"

namespace fastnst {
namespace {

struct WideningDot {
  // Weights of bytes 0 and 2, and of bytes 1 and 3, of every lane's four, as pairs of 16 bits.
  struct Weights {
    __m256i even, odd;
  };
  static Weights load(const int8_t* w) {
    const __m256i bytes = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(w));
    return {_mm256_srai_epi16(_mm256_slli_epi16(bytes, 8), 8), _mm256_srai_epi16(bytes, 8)};
  }
  static __m256i add(__m256i acc, __m256i input, const Weights& w) {
    const __m256i even = _mm256_and_si256(input, _mm256_set1_epi16(0x00ff)), odd = _mm256_srli_epi16(input, 8);
    const __m256i products = _mm256_add_epi32(_mm256_madd_epi16(even, w.even), _mm256_madd_epi16(odd, w.odd));
    return _mm256_add_epi32(acc, products);
  }
  static __m256i add_pairs(__m256i acc, __m256i a, __m256i b) { return _mm256_add_epi32(acc, _mm256_madd_epi16(a, b)); }
};

struct Avx2 {
  using Vector = __m256i;
  static constexpr int bytes = 32;
  static Vector load_aligned(const int8_t* from) { return _mm256_load_si256(reinterpret_cast<const __m256i*>(from)); }
  static Vector load(const uint8_t* from) { return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from)); }
  static Vector splat(int32_t lane) { return _mm256_set1_epi32(lane); }
  static Vector dot_bytes(Vector a, Vector b) { return _mm256_maddubs_epi16(a, b); }
  static Vector dot(Vector a, Vector b) { return _mm256_madd_epi16(a, b); }
  static Vector add16(Vector a, Vector b) { return _mm256_add_epi16(a, b); }
  static Vector add32(Vector a, Vector b) { return _mm256_add_epi32(a, b); }
  // Assembly, because gcc copies sums around the intrinsic, and volatile, because it would work on more pixels at once than
  // there are registers for.
  static void accumulate(Vector& sum, Vector term) { asm volatile("vpaddd %1, %0, %0" : "+x"(sum) : "x"(term)); }
  static Vector low_bytes(Vector bytes) { return _mm256_and_si256(bytes, _mm256_set1_epi16(0x00ff)); }
  static Vector high_bytes(Vector bytes) { return _mm256_srli_epi16(bytes, 8); }
  static Vector either(Vector a, Vector b) { return _mm256_or_si256(a, b); }
  static bool has_high_bit(Vector bytes) { return _mm256_movemask_epi8(bytes) != 0; }
};

struct ShortTile {
  static constexpr int max_blocks = 1;
  static constexpr bool short_sums = true;
  static constexpr int pixels(int) { return 4; }

  template <int blocks>
  static void run(const GroupRow& group, const uint8_t* source, uint8_t* target, ptrdiff_t target_pixel) {
    Sums256 sums(group.bias);
    ShortSums<Avx2>::add<0>(group, source, sums.pixels);
    sums.put(group, target, target_pixel);
  }
};

}  // namespace

extern const ProductKernels kAvx2Products;
const ProductKernels kAvx2Products =
    make_products<ShortTile, Avx256Lanes<WideningDot>>(depthwise_columns<Avx256Columns<WideningDot>>);
extern const LoopKernels kAvx2Loops;
const LoopKernels kAvx2Loops = make_loops<Avx256Windows>();

}  // namespace fastnst
