// Plain C++: what every machine can run, and the readable statement of what a tile computes.
#include <cmath>

#include "engine/kernels/pairs.h"

namespace fastnst {
namespace {

struct ScalarTile {
  static constexpr int max_blocks = 1;
  static constexpr int pixels(int) { return 1; }

  template <int blocks>
  static void run(const GroupRow& group, const uint8_t* source, uint8_t* target, ptrdiff_t) {
    int32_t acc[kLanes];
    std::memcpy(acc, group.bias, sizeof acc);
    const int8_t* w = group.weights;
    for (int64_t r = 0; r < group.row->rows; r++) {
      const uint8_t* run = source + r * group.row->source_row;
      for (int64_t s = 0; s < group.row->steps; s++, w += group.weight_step)
        for (int lane = 0; lane < kLanes; lane++)
#pragma GCC unroll 4
          for (int i = 0; i < 4; i++) acc[lane] += int32_t(run[4 * s + i]) * w[4 * lane + i];
    }
    if (group.row->writes == Numbers::sums) {
      std::memcpy(target, acc, sizeof acc);
      return;
    }
    for (int lane = 0; lane < kLanes; lane++) {
      const int32_t rounded = int32_t(std::lrintf(float(acc[lane]) * group.multiplier[lane]));
      if (group.row->writes == Numbers::words) {
        const int16_t number = int16_t(std::clamp(rounded, -32768, 32767));
        std::memcpy(target + lane * sizeof number, &number, sizeof number);
      } else {
        target[lane] = uint8_t(std::clamp(rounded + group.row->zero, 0, 255));
      }
    }
  }
};

}  // namespace

extern const ProductKernels kScalarProducts;
const ProductKernels kScalarProducts = make_products<ScalarTile, PlainLanes>();
extern const LoopKernels kScalarLoops;
const LoopKernels kScalarLoops = make_loops<PlainWindows>();

}  // namespace fastnst
