// WebAssembly with 128-bit vectors. It multiplies pairs of 16 bits only, so bytes are widened first, as on AVX2.
#include <wasm_simd128.h>

#include "engine/kernels/pairs.h"

namespace fastnst {
namespace {

// Four pixels in two halves of a block: sixteen sums at a time would not fit into the registers that browsers have for them.
struct Simd128Tile {
  static constexpr int max_blocks = 1;
  static constexpr int pixels(int) { return 4; }

  template <int blocks>
  static void run(const GroupRow& group, const uint8_t* source, uint8_t* target, ptrdiff_t target_pixel) {
    v128_t sums[4][4];
    add_half(group, source, 0, sums);
    add_half(group, source, 2, sums);
    for (int p = 0; p < 4; p++) write(group, sums[p], target + p * target_pixel);
  }

 private:
  // Vectors `first` and first + 1 of each pixel's sums.
  static void add_half(const GroupRow& group, const uint8_t* source, int first, v128_t (&sums)[4][4]) {
    const ConvRow& row = *group.row;
    v128_t acc[4][2];
    for (auto& own : acc)
      for (int v = 0; v < 2; v++) own[v] = wasm_v128_load(group.bias + 4 * (first + v));
    const int8_t* w = group.weights + 16 * first;
    const v128_t low_byte = wasm_i16x8_const_splat(0x00ff);
    for (int64_t r = 0; r < row.rows; r++) {
      const uint8_t* run = source + r * row.source_row;
      for (int64_t s = 0; s < row.steps; s++, run += 4, w += group.weight_step) {
        // Weights of bytes 0 and 2, and of bytes 1 and 3, of every lane's four, as pairs of 16 bits.
        v128_t even[2], odd[2];
        for (int v = 0; v < 2; v++) {
          const v128_t bytes = wasm_v128_load(w + 16 * v);
          even[v] = wasm_i16x8_shr(wasm_i16x8_shl(bytes, 8), 8), odd[v] = wasm_i16x8_shr(bytes, 8);
        }
        for (int p = 0; p < 4; p++) {
          const v128_t input = wasm_v128_load32_splat(run + p * row.source_pixel);
          const v128_t a = wasm_v128_and(input, low_byte), b = wasm_u16x8_shr(input, 8);
          for (int v = 0; v < 2; v++) {
            const v128_t products = wasm_i32x4_add(wasm_i32x4_dot_i16x8(a, even[v]), wasm_i32x4_dot_i16x8(b, odd[v]));
            acc[p][v] = wasm_i32x4_add(acc[p][v], products);
          }
        }
      }
    }
    for (int p = 0; p < 4; p++)
      for (int v = 0; v < 2; v++) sums[p][first + v] = acc[p][v];
  }

  static void write(const GroupRow& group, const v128_t (&sums)[4], uint8_t* to) {
    const ConvRow& row = *group.row;
    if (row.writes == Numbers::sums) {
      for (int v = 0; v < 4; v++) wasm_v128_store(to + 16 * v, sums[v]);
      return;
    }
    const bool wide = row.writes == Numbers::words;
    v128_t whole[4];
    for (int v = 0; v < 4; v++) {
      const v128_t scaled = wasm_f32x4_mul(wasm_f32x4_convert_i32x4(sums[v]), wasm_v128_load(group.multiplier + 4 * v));
      whole[v] = wasm_i32x4_trunc_sat_f32x4(wasm_f32x4_nearest(scaled));
      if (!wide) whole[v] = wasm_i32x4_add(whole[v], wasm_i32x4_splat(row.zero));
    }
    const v128_t low = wasm_i16x8_narrow_i32x4(whole[0], whole[1]), high = wasm_i16x8_narrow_i32x4(whole[2], whole[3]);
    if (wide)
      wasm_v128_store(to, low), wasm_v128_store(to + 16, high);
    else
      wasm_v128_store(to, wasm_u8x16_narrow_i16x8(low, high));
  }
};

struct Simd128Lanes {
  static constexpr int tile = 2;
  struct Vector {
    v128_t parts[4];
  };
  using Sums = Vector;
  static Sums zero() { return {}; }
  static Vector load(const void* from) {
    Vector vector;
    for (int v = 0; v < 4; v++) vector.parts[v] = wasm_v128_load(static_cast<const uint8_t*>(from) + 16 * v);
    return vector;
  }
  static void add(Sums& sums, uint32_t factor, const Vector& vector) {
    const v128_t pair = wasm_i32x4_splat(int32_t(factor));
    for (int v = 0; v < 4; v++) sums.parts[v] = wasm_i32x4_add(sums.parts[v], wasm_i32x4_dot_i16x8(pair, vector.parts[v]));
  }
  static void store(int32_t* to, const Sums& sums) {
    for (int v = 0; v < 4; v++) wasm_v128_store(to + 4 * v, sums.parts[v]);
  }
};

struct Simd128Windows {
  static constexpr int channels = 16;
  using Vector [[gnu::vector_size(16)]] = int16_t;
  static void load(const uint8_t* from, Vector& low, Vector& high) {
    const v128_t bytes = wasm_v128_load(from);
    low = (Vector)wasm_u16x8_extend_low_u8x16(bytes), high = (Vector)wasm_u16x8_extend_high_u8x16(bytes);
  }
  template <bool centre>
  static void store(uint8_t* to, Vector low, Vector high, int16_t scale) {
    const v128_t factor = wasm_i16x8_splat(scale);
    const v128_t a = wasm_i16x8_q15mulr_sat((v128_t)low, factor), b = wasm_i16x8_q15mulr_sat((v128_t)high, factor);
    wasm_v128_store(to, centre ? wasm_u8x16_narrow_i16x8(a, b)
                               : wasm_v128_xor(wasm_i8x16_narrow_i16x8(a, b), wasm_i8x16_const_splat(-128)));
  }
};

}  // namespace

extern const Kernels kSimd128;
const Kernels kSimd128 = make_kernels<Simd128Tile, Simd128Lanes, Simd128Windows>();

}  // namespace fastnst
