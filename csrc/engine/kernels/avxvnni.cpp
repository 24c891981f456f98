// AVX-VNNI: the 256-bit form of the dot-product instructions that client processors without AVX-512 have.
#include "engine/kernels/avx256.h"

namespace fastnst {
namespace {

struct VnniDot {
  using Weights = __m256i;
  static Weights load(const int8_t* w) { return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(w)); }
  static __m256i add(__m256i acc, __m256i input, const Weights& w) { return _mm256_dpbusd_avx_epi32(acc, input, w); }
  static __m256i add_pairs(__m256i acc, __m256i a, __m256i b) { return _mm256_dpwssd_avx_epi32(acc, a, b); }
};

}  // namespace

extern const ProductKernels kAvxVnniProducts;
const ProductKernels kAvxVnniProducts =
    make_products<Avx256Tile<VnniDot>, Avx256Lanes<VnniDot>>(depthwise_columns<Avx256Columns<VnniDot>>);

}  // namespace fastnst
