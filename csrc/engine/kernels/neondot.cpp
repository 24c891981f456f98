// 64-bit Arm with the dot-product extension (Armv8.2 and later).
#include "engine/kernels/neon.h"

namespace fastnst {
namespace {

struct NeonDotTile {
  static constexpr int max_blocks = 1;
  static constexpr int pixels(int) { return 4; }

  template <int blocks>
  static void run(const GroupRow& group, const uint8_t* source, uint8_t* target, ptrdiff_t target_pixel) {
    const ConvRow& row = *group.row;
    int32x4_t acc[4][4], correction[4];
    for (int v = 0; v < 4; v++) {
      correction[v] = vdupq_n_s32(0);
      for (int p = 0; p < 4; p++) acc[p][v] = vld1q_s32(group.bias + 4 * v);
    }
    const int8x16_t one = vdupq_n_s8(1);
    const int8_t* w = group.weights;
    for (int64_t r = 0; r < row.rows; r++) {
      const uint8_t* run = source + r * row.source_row;
      for (int64_t s = 0; s < row.steps; s++, run += 4, w += group.weight_step) {
        int8x16_t input[4];
        for (int p = 0; p < 4; p++) input[p] = four_signed(run + p * row.source_pixel);
        for (int v = 0; v < 4; v++) {
          const int8x16_t weights = vld1q_s8(w + 16 * v);
          correction[v] = vdotq_s32(correction[v], weights, one);
          for (int p = 0; p < 4; p++) acc[p][v] = vdotq_s32(acc[p][v], weights, input[p]);
        }
      }
    }
    for (int v = 0; v < 4; v++)
      for (int p = 0; p < 4; p++) acc[p][v] = vaddq_s32(acc[p][v], vshlq_n_s32(correction[v], 7));
    for (int p = 0; p < 4; p++) write(group, acc[p], target + p * target_pixel);
  }
};

}  // namespace

extern const ProductKernels kNeonDotProducts;
const ProductKernels kNeonDotProducts = make_products<NeonDotTile, NeonLanes>();

}  // namespace fastnst
