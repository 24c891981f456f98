#include "base/luma.h"

#include <algorithm>

#include "base/parallel.h"

namespace fastnst {
namespace {

constexpr int32_t kLuma[3] = {19595, 38470, 7471};  // their sum is 65536: grey of any level is its own luma
constexpr int64_t kGrain = 16384;                   // pixels that a thread takes at a time

}  // namespace

void keep_color(const uint8_t* content, uint8_t* styled, int64_t pixels, int threads) {
  parallel_for(pixels, kGrain, threads, [&](int, int64_t begin, int64_t end) {
    for (int64_t i = 3 * begin; i < 3 * end; i += 3) {
      int32_t difference = 0;
      for (int c = 0; c < 3; c++) difference += (int32_t(styled[i + c]) - content[i + c]) * kLuma[c];
      const int32_t shift = (difference + 32768) >> 16;
      for (int c = 0; c < 3; c++) styled[i + c] = uint8_t(std::clamp(content[i + c] + shift, 0, 255));
    }
  });
}

}  // namespace fastnst
