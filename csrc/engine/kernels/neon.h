// What the paths of 64-bit Arm share. Its products of bytes want both factors signed: inputs are taken as q - 128, and 128
// times the sum of the weights is added back. Exact, as all of it stays within 32 bits for any accepted model.
#pragma once

#include <arm_neon.h>

#include "engine/kernels/pairs.h"

namespace fastnst {
namespace {

// The four bytes from here on, less 128, in every lane.
inline int8x16_t four_signed(const uint8_t* from) {
  uint32_t bytes;
  std::memcpy(&bytes, from, 4);
  return vreinterpretq_s8_u32(vdupq_n_u32(bytes ^ 0x80808080u));
}

// One pixel's sums, as the numbers that the row wants.
inline void write(const GroupRow& group, const int32x4_t (&sums)[4], uint8_t* to) {
  const ConvRow& row = *group.row;
  uint16x4_t quarters[4];
  for (int v = 0; v < 4; v++) {
    if (row.writes == Numbers::sums) {
      vst1q_s32(reinterpret_cast<int32_t*>(to) + 4 * v, sums[v]);
      continue;
    }
    const float32x4_t scaled = vmulq_f32(vcvtq_f32_s32(sums[v]), vld1q_f32(group.multiplier + 4 * v));
    const int32x4_t rounded = vcvtnq_s32_f32(scaled);
    if (row.writes == Numbers::words) vst1_s16(reinterpret_cast<int16_t*>(to) + 4 * v, vqmovn_s32(rounded));
    quarters[v] = vqmovun_s32(vaddq_s32(rounded, vdupq_n_s32(row.zero)));
  }
  if (row.writes != Numbers::bytes) return;
  const uint8x8_t low = vqmovn_u16(vcombine_u16(quarters[0], quarters[1]));
  const uint8x8_t high = vqmovn_u16(vcombine_u16(quarters[2], quarters[3]));
  vst1q_u8(to, vcombine_u8(low, high));
}

struct NeonLanes {
  static constexpr int tile = 4;
  struct Vector {
    int16x8x2_t halves[2];  // of eight lanes: the first factors of their pairs, and the second ones
  };
  struct Sums {
    int32x4_t quarters[4];
  };
  static Sums zero() { return {}; }
  static Vector load(const void* from) {
    const int16_t* words = static_cast<const int16_t*>(from);
    return {{vld2q_s16(words), vld2q_s16(words + 16)}};
  }
  static void add(Sums& sums, uint32_t factor, const Vector& vector) {
    const int16_t factors[2] = {int16_t(factor & 0xffff), int16_t(factor >> 16)};
    for (int i = 0; i < 2; i++)
      for (int h = 0; h < 2; h++) {
        const int16x8_t words = vector.halves[h].val[i];
        int32x4_t &low = sums.quarters[2 * h], &high = sums.quarters[2 * h + 1];
        low = vmlal_n_s16(low, vget_low_s16(words), factors[i]);
        high = vmlal_n_s16(high, vget_high_s16(words), factors[i]);
      }
  }
  static void store(int32_t* to, const Sums& sums) {
    for (int v = 0; v < 4; v++) vst1q_s32(to + 4 * v, sums.quarters[v]);
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
}  // namespace fastnst
