// AVX2 without dot-product instructions. The obvious pair multiply (vpmaddubsw) saturates at 16 bits: it is used where a bound
// proves that it cannot, and elsewhere bytes are widened to 16 bits first. The same bytes as everywhere else.
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

}  // namespace

extern const Kernels kAvx2;
const Kernels kAvx2 =
    make_kernels<ShortTile, Avx256Lanes<WideningDot>, Avx256Windows>(depthwise_columns<Avx256Columns<WideningDot>>);

}  // namespace fastnst
