// WebAssembly with its relaxed products of bytes. With a second factor below 128 they are the same everywhere; with a larger
// one an environment has it with a sign or without, and lets sums of two saturate or not, always in the same way.
#include "engine/kernels/short_sums.h"
#include "engine/kernels/wasm128.h"

namespace fastnst {
namespace {

using Signed [[gnu::vector_size(16)]] = signed char;

// What older compilers do not know is written by csrc/web/relaxed.py in place of instructions that nothing else uses.
#if __has_builtin(__builtin_wasm_relaxed_dot_i8x16_i7x16_add_s_i32x4)
v128_t dot(v128_t a, v128_t b) { return (v128_t)__builtin_wasm_relaxed_dot_i8x16_i7x16_s_i16x8((Signed)a, (Signed)b); }
v128_t add_dot(v128_t a, v128_t b, v128_t sum) {
  using Sums [[gnu::vector_size(16)]] = int;
  return (v128_t)__builtin_wasm_relaxed_dot_i8x16_i7x16_add_s_i32x4((Signed)a, (Signed)b, (Sums)sum);
}
#else
v128_t dot(v128_t a, v128_t b) { return (v128_t)__builtin_wasm_relaxed_swizzle_i8x16((Signed)a, (Signed)b); }
v128_t add_dot(v128_t a, v128_t b, v128_t sum) {
  return (v128_t)__builtin_wasm_laneselect_i8x16((Signed)a, (Signed)b, (Signed)sum);
}
#endif

struct Bare {
  static v128_t weights(v128_t bytes) { return bytes; }
  static v128_t input(v128_t bytes) { return bytes; }
};

// Where sums of all four products are exact.
struct Exact : Bare {
  static v128_t add(v128_t sum, v128_t input, v128_t weights) { return add_dot(weights, input, sum); }
  template <typename Then>
  static void choose(const ConvRow&, const uint8_t*, Then&& then) {
    then(Exact());
  }
};

// Everywhere, for inputs below 128: their sums of two products, which have 16 bits, cannot leave them.
struct Pairs : Bare {
  static v128_t add(v128_t sum, v128_t input, v128_t weights) {
    return wasm_i32x4_add(sum, wasm_i32x4_dot_i16x8(dot(weights, input), wasm_i16x8_const_splat(1)));
  }
  template <typename Then>
  static void choose(const ConvRow& row, const uint8_t* source, Then&& then) {
    if (is_small<Wasm>(row, source))
      then(Pairs());
    else
      then(Widening());
  }
};

// A vector that the compiler knows nothing of.
v128_t hidden(v128_t vector) {
  volatile v128_t memory = vector;
  return memory;
}

bool same(v128_t a, v128_t b) { return wasm_i8x16_all_true(wasm_i8x16_eq(a, b)); }

}  // namespace

// Whether second factors have no sign here, and sums of four products are exact: with vpdpbusd, but not by vpmaddubsw or sdot.
bool has_exact_relaxed() {
  const v128_t most = hidden(wasm_i8x16_const_splat(-1)), largest = hidden(wasm_i8x16_const_splat(127));
  return same(add_dot(largest, most, wasm_i32x4_const_splat(1)), wasm_i32x4_const_splat(1 + 4 * 255 * 127));
}

extern const ProductKernels kRelaxedDotProducts, kRelaxedProducts;
const ProductKernels kRelaxedDotProducts = make_products<WasmTile<Exact>, Lanes128<Wasm>>();
const ProductKernels kRelaxedProducts = make_products<WasmTile<Pairs>, Lanes128<Wasm>>();

}  // namespace fastnst
