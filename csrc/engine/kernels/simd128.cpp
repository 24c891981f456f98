// WebAssembly with 128-bit vectors. It multiplies pairs of 16 bits only, so bytes are widened first.
#include <wasm_simd128.h>

#include "engine/kernels/vectors128.h"

namespace fastnst {
namespace {

struct Wasm {
  using Vector = v128_t;
  static Vector load(const void* from) { return wasm_v128_load(from); }
  static void store(void* to, Vector vector) { wasm_v128_store(to, vector); }
  static Vector splat(int32_t lane) { return wasm_i32x4_splat(lane); }
  static Vector even(Vector bytes) { return wasm_i16x8_shr(wasm_i16x8_shl(bytes, 8), 8); }
  static Vector odd(Vector bytes) { return wasm_i16x8_shr(bytes, 8); }
  static Vector low_bytes(Vector bytes) { return wasm_v128_and(bytes, wasm_i16x8_const_splat(0x00ff)); }
  static Vector high_bytes(Vector bytes) { return wasm_u16x8_shr(bytes, 8); }
  static Vector dot(Vector a, Vector b) { return wasm_i32x4_dot_i16x8(a, b); }
  static Vector add32(Vector a, Vector b) { return wasm_i32x4_add(a, b); }
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

// Four pixels in two halves of a block: sixteen sums at a time do not fit into registers.
struct Simd128Tile {
  using Vector = Wasm::Vector;
  static constexpr int max_blocks = 1;
  static constexpr int pixels(int) { return 4; }

  template <int blocks>
  static void run(const GroupRow& group, const uint8_t* source, uint8_t* target, ptrdiff_t target_pixel) {
    Vector sums[4][4];
    add_half(group, source, 0, sums);
    add_half(group, source, 2, sums);
    for (int p = 0; p < 4; p++) write_sums<Wasm>(group, sums[p], target + p * target_pixel);
  }

 private:
  // Vectors `first` and first + 1 of each pixel's sums.
  static void add_half(const GroupRow& group, const uint8_t* source, int first, Vector (&sums)[4][4]) {
    const ConvRow& row = *group.row;
    Vector acc[4][2];
    for (auto& own : acc)
      for (int v = 0; v < 2; v++) own[v] = Wasm::load(group.bias + 4 * (first + v));
    const int8_t* w = group.weights + 16 * first;
    for (int64_t r = 0; r < row.rows; r++) {
      const uint8_t* run = source + r * row.source_row;
      for (int64_t s = 0; s < row.steps; s++, run += 4, w += group.weight_step) {
        Vector even[2], odd[2];
        for (int v = 0; v < 2; v++) {
          const Vector bytes = Wasm::load(w + 16 * v);
          even[v] = Wasm::even(bytes), odd[v] = Wasm::odd(bytes);
        }
        for (int p = 0; p < 4; p++) {
          int32_t four;
          std::memcpy(&four, run + p * row.source_pixel, 4);
          const Vector input = Wasm::splat(four), a = Wasm::low_bytes(input), b = Wasm::high_bytes(input);
          for (int v = 0; v < 2; v++)
            acc[p][v] = Wasm::add32(acc[p][v], Wasm::add32(Wasm::dot(a, even[v]), Wasm::dot(b, odd[v])));
        }
      }
    }
    for (int p = 0; p < 4; p++)
      for (int v = 0; v < 2; v++) sums[p][first + v] = acc[p][v];
  }
};

}  // namespace

extern const ProductKernels kSimd128Products;
const ProductKernels kSimd128Products = make_products<Simd128Tile, Lanes128<Wasm>>();
extern const LoopKernels kSimd128Loops;
const LoopKernels kSimd128Loops = make_loops<Windows128<Wasm>>();

}  // namespace fastnst
