// WebAssembly with 128-bit vectors. It multiplies pairs of 16 bits only, so bytes are widened first.
#include "engine/kernels/wasm128.h"

namespace fastnst {
extern const ProductKernels kSimd128Products;
const ProductKernels kSimd128Products = make_products<WasmTile<Widening>, Lanes128<Wasm>>();
extern const LoopKernels kSimd128Loops;
const LoopKernels kSimd128Loops = make_loops<Windows128<Wasm>>();

}  // namespace fastnst
