// Vectors of WebAssembly, as vectors128.h asks for them, and a tile of their products.
#pragma once

#include <wasm_simd128.h>

#include "engine/kernels/vectors128.h"

namespace fastnst {
namespace {

struct Wasm {
  using Vector = v128_t;
  static constexpr int bytes = 16;
  static Vector load(const void* from) { return wasm_v128_load(from); }
  static void store(void* to, Vector vector) { wasm_v128_store(to, vector); }
  static Vector splat(int32_t lane) { return wasm_i32x4_splat(lane); }
  static Vector dot(Vector a, Vector b) { return wasm_i32x4_dot_i16x8(a, b); }
  static Vector add32(Vector a, Vector b) { return wasm_i32x4_add(a, b); }
  static Vector either(Vector a, Vector b) { return wasm_v128_or(a, b); }
  static bool has_high_bit(Vector bytes) { return wasm_i8x16_bitmask(bytes) != 0; }
  static Vector rounded(Vector sums, const float* multiplier) {
    const v128_t product = wasm_f32x4_mul(wasm_f32x4_convert_i32x4(sums), wasm_v128_load(multiplier));
    return wasm_i32x4_trunc_sat_f32x4(wasm_f32x4_nearest(product));
  }
  static Vector narrow(Vector low, Vector high) { return wasm_i16x8_narrow_i32x4(low, high); }
  static Vector narrow_bytes(Vector low, Vector high) { return wasm_u8x16_narrow_i16x8(low, high); }
  static Vector widen_low(Vector bytes) { return wasm_u16x8_extend_low_u8x16(bytes); }
  static Vector widen_high(Vector bytes) { return wasm_u16x8_extend_high_u8x16(bytes); }
  static Vector scaled(Vector words, int16_t scale) { return wasm_i16x8_q15mulr_sat(words, wasm_i16x8_splat(scale)); }
  static Vector narrow_signed(Vector low, Vector high) {
    return wasm_v128_xor(wasm_i8x16_narrow_i16x8(low, high), wasm_i8x16_const_splat(-128));
  }
};

// Sums of products of bytes, whichever: they are widened, for there are products of pairs of 16 bits.
struct Widening {
  struct Widened {
    v128_t even, odd;
  };
  static Widened weights(v128_t bytes) { return {wasm_i16x8_shr(wasm_i16x8_shl(bytes, 8), 8), wasm_i16x8_shr(bytes, 8)}; }
  static Widened input(v128_t bytes) {
    return {wasm_v128_and(bytes, wasm_i16x8_const_splat(0x00ff)), wasm_u16x8_shr(bytes, 8)};
  }
  static v128_t add(v128_t sum, const Widened& a, const Widened& b) {
    return wasm_i32x4_add(sum, wasm_i32x4_add(wasm_i32x4_dot_i16x8(a.even, b.even), wasm_i32x4_dot_i16x8(a.odd, b.odd)));
  }
  template <typename Then>
  static void choose(const ConvRow&, const uint8_t*, Then&& then) {
    then(Widening());
  }
};

// Four pixels in two halves of a block: sixteen sums at a time do not fit into registers. `Dot::choose` calls back with what
// adds products of the bytes there, such as `Widening`.
template <typename Dot>
struct WasmTile {
  static constexpr int max_blocks = 1;
  static constexpr int pixels(int) { return 4; }

  template <int blocks>
  static void run(const GroupRow& group, const uint8_t* source, uint8_t* target, ptrdiff_t target_pixel) {
    v128_t sums[4][4];
    Dot::choose(*group.row, source, [&](auto dot) {
      add_half<decltype(dot)>(group, source, 0, sums);
      add_half<decltype(dot)>(group, source, 2, sums);
    });
    for (int p = 0; p < 4; p++) write_sums<Wasm>(group, sums[p], target + p * target_pixel);
  }

 private:
  // Vectors `first` and first + 1 of each pixel's sums.
  template <typename Own>
  static void add_half(const GroupRow& group, const uint8_t* source, int first, v128_t (&sums)[4][4]) {
    const ConvRow& row = *group.row;
    v128_t acc[4][2];
    for (auto& own : acc)
      for (int v = 0; v < 2; v++) own[v] = wasm_v128_load(group.bias + 4 * (first + v));
    const int8_t* w = group.weights + 16 * first;
    for (int64_t r = 0; r < row.rows; r++) {
      const uint8_t* run = source + r * row.source_row;
      for (int64_t s = 0; s < row.steps; s++, run += 4, w += group.weight_step) {
        const auto low = Own::weights(wasm_v128_load(w)), high = Own::weights(wasm_v128_load(w + 16));
        for (int p = 0; p < 4; p++) {
          const auto input = Own::input(wasm_v128_load32_splat(run + p * row.source_pixel));
          acc[p][0] = Own::add(acc[p][0], input, low);
          acc[p][1] = Own::add(acc[p][1], input, high);
        }
      }
    }
    for (int p = 0; p < 4; p++)
      for (int v = 0; v < 2; v++) sums[p][first + v] = acc[p][v];
  }
};

}  // namespace
}  // namespace fastnst
