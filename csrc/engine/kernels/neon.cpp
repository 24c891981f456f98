// 64-bit Arm of before Armv8.2, such as Cortex-A53 and A72. The product of two bytes fits 16 bits, the sum of two may not:
// pairs of products are added to sums of 32 bits at once, two for each output, which are joined at the end.
#include "engine/kernels/neon.h"

namespace fastnst {
namespace {

// Four pixels in two halves of a block: all of a block's sums would take twice the registers there are.
struct NeonTile {
  static constexpr int max_blocks = 1;
  static constexpr int pixels(int) { return 4; }

  template <int blocks>
  static void run(const GroupRow& group, const uint8_t* source, uint8_t* target, ptrdiff_t target_pixel) {
    int32x4_t sums[4][4];
    add_half(group, source, 0, sums);
    add_half(group, source, 2, sums);
    for (int p = 0; p < 4; p++) write(group, sums[p], target + p * target_pixel);
  }

 private:
  // Vectors `first` and first + 1 of each pixel's sums.
  static void add_half(const GroupRow& group, const uint8_t* source, int first, int32x4_t (&sums)[4][4]) {
    const ConvRow& row = *group.row;
    int32x4_t acc[4][2][2] = {}, weight_sums[2][2] = {};
    const int8_t* w = group.weights + 16 * first;
    for (int64_t r = 0; r < row.rows; r++) {
      const uint8_t* run = source + r * row.source_row;
      for (int64_t s = 0; s < row.steps; s++, run += 4, w += group.weight_step) {
        int8x16_t input[4];
        for (int p = 0; p < 4; p++) input[p] = four_signed(run + p * row.source_pixel);
        for (int v = 0; v < 2; v++) {
          const int8x16_t weights = vld1q_s8(w + 16 * v);
          weight_sums[v][0] = vpadalq_s16(weight_sums[v][0], vmovl_s8(vget_low_s8(weights)));
          weight_sums[v][1] = vpadalq_s16(weight_sums[v][1], vmovl_high_s8(weights));
          for (int p = 0; p < 4; p++) {
            acc[p][v][0] = vpadalq_s16(acc[p][v][0], vmull_s8(vget_low_s8(weights), vget_low_s8(input[p])));
            acc[p][v][1] = vpadalq_s16(acc[p][v][1], vmull_high_s8(weights, input[p]));
          }
        }
      }
    }
    for (int v = 0; v < 2; v++) {
      const int32x4_t correction = vshlq_n_s32(vpaddq_s32(weight_sums[v][0], weight_sums[v][1]), 7);
      const int32x4_t start = vaddq_s32(vld1q_s32(group.bias + 4 * (first + v)), correction);
      for (int p = 0; p < 4; p++) sums[p][first + v] = vaddq_s32(start, vpaddq_s32(acc[p][v][0], acc[p][v][1]));
    }
  }
};

}  // namespace

extern const ProductKernels kNeonProducts;
const ProductKernels kNeonProducts = make_products<NeonTile, NeonLanes>();
extern const LoopKernels kNeonLoops;
const LoopKernels kNeonLoops = make_loops<NeonWindows>();

}  // namespace fastnst
