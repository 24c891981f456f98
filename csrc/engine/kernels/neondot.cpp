// 64-bit Arm with the dot-product extension (Armv8.2 and later). Its instruction wants both factors signed: inputs are taken
// as q - 128, and 128 times the sum of the weights, gathered by the same instruction, is added back. Exact, as all of it
// stays within 32 bits for any accepted model.
#include <arm_neon.h>

#include "engine/kernels/pairs.h"

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
        if (row.writes == Numbers::sums) {
          vst1q_s32(reinterpret_cast<int32_t*>(to) + 4 * v, sum);
          continue;
        }
        const float32x4_t scaled = vmulq_f32(vcvtq_f32_s32(sum), vld1q_f32(group.multiplier + 4 * v));
        const int32x4_t rounded = vcvtnq_s32_f32(scaled);
        if (row.writes == Numbers::words) vst1_s16(reinterpret_cast<int16_t*>(to) + 4 * v, vqmovn_s32(rounded));
        quarters[v] = vqmovun_s32(vaddq_s32(rounded, vdupq_n_s32(row.zero)));
      }
      if (row.writes != Numbers::bytes) continue;
      const uint8x8_t low = vqmovn_u16(vcombine_u16(quarters[0], quarters[1]));
      const uint8x8_t high = vqmovn_u16(vcombine_u16(quarters[2], quarters[3]));
      vst1q_u8(to, vcombine_u8(low, high));
    }
  }
};

struct NeonWindows {
  static constexpr int channels = 16;
  using Vector = int16x8_t;
  static void load(const uint8_t* from, Vector& low, Vector& high) {
    const uint8x16_t bytes = vld1q_u8(from);
    low = vreinterpretq_s16_u16(vmovl_u8(vget_low_u8(bytes))), high = vreinterpretq_s16_u16(vmovl_u8(vget_high_u8(bytes)));
  }
  template <bool centre>
  static void store(uint8_t* to, Vector low, Vector high, int16_t scale) {
    const int16x8_t a = vqrdmulhq_n_s16(low, scale), b = vqrdmulhq_n_s16(high, scale);
    vst1q_u8(to, centre ? vcombine_u8(vqmovun_s16(a), vqmovun_s16(b))
                        : veorq_u8(vreinterpretq_u8_s8(vcombine_s8(vqmovn_s16(a), vqmovn_s16(b))), vdupq_n_u8(128)));
  }
};

}  // namespace

extern const Kernels kNeonDot;
const Kernels kNeonDot = make_kernels<NeonDotTile, PlainLanes, NeonWindows>();

}  // namespace fastnst
