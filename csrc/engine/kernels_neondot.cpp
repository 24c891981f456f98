// 64-bit Arm with the dot-product extension (Armv8.2 and later). Its instruction wants both factors signed: inputs are taken
// as q - 128, and 128 times the sum of the weights, gathered by the same instruction, is added back. Exact, as all of it
// stays within 32 bits for any accepted model.
#include <arm_neon.h>

#if defined(__linux__)
#include <asm/hwcap.h>
#include <sys/auxv.h>
#endif

#include "engine/kernels_pairs.h"

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
        for (int p = 0; p < 4; p++) {
          uint32_t bytes;
          std::memcpy(&bytes, run + p * row.source_pixel, 4);
          input[p] = vreinterpretq_s8_u32(vdupq_n_u32(bytes ^ 0x80808080u));
        }
        for (int v = 0; v < 4; v++) {
          const int8x16_t weights = vld1q_s8(w + 16 * v);
          correction[v] = vdotq_s32(correction[v], weights, one);
          for (int p = 0; p < 4; p++) acc[p][v] = vdotq_s32(acc[p][v], weights, input[p]);
        }
      }
    }
    for (int p = 0; p < 4; p++) {
      uint8_t* to = target + p * target_pixel;
      uint16x4_t quarters[4];
      for (int v = 0; v < 4; v++) {
        const int32x4_t sum = vaddq_s32(acc[p][v], vshlq_n_s32(correction[v], 7));
        const float32x4_t scaled = vmulq_f32(vcvtq_f32_s32(sum), vld1q_f32(group.multiplier + 4 * v));
        const int32x4_t rounded = vcvtnq_s32_f32(scaled);
        if (row.wide) vst1_s16(reinterpret_cast<int16_t*>(to) + 4 * v, vqmovn_s32(rounded));
        quarters[v] = vqmovun_s32(vaddq_s32(rounded, vdupq_n_s32(row.zero)));
      }
      if (row.wide) continue;
      const uint8x8_t low = vqmovn_u16(vcombine_u16(quarters[0], quarters[1]));
      const uint8x8_t high = vqmovn_u16(vcombine_u16(quarters[2], quarters[3]));
      vst1q_u8(to, vcombine_u8(low, high));
    }
  }
};

bool supported() {
#if defined(__linux__)
  return (getauxval(AT_HWCAP) & HWCAP_ASIMDDP) != 0;
#else
  return true;  // every 64-bit Apple processor has it
#endif
}

}  // namespace

extern const Kernels kNeonDot;
const Kernels kNeonDot = make_kernels<NeonDotTile, PlainLanes>("neondot", supported);

}  // namespace fastnst
