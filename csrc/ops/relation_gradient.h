// From weights to gradients: gradient of item i += scale * sum_j weight_ij (item_i - item_j). It is computed from differences,
// not as a matrix product, which would lose digits for similar items; and these have the largest weights.
#pragma once

#include "ops/relation_items.h"

namespace fastnst::FASTNST_VARIANT {
namespace {

constexpr int kOutputs = 4;  // items, or lines, at once

// The amount of numbers, of all items, in a task: larger for fewer items, because items may be far apart in memory.
static inline int64_t span_of(int64_t count) { return least(512, most(kWidth, 8192 / count / kWidth * kWidth)); }

// Floats from one item of such a panel to the next. See kPanelRow.
static inline int64_t row_of(int64_t span) { return span == kWidth ? span : span + 16; }

// kWidth numbers of kCount items, from those of all items in `panel`.
template <int kCount>
static inline void gradient_of_items(const float* panel, int64_t row, int64_t first, int64_t count, const float* weights,
                                     float* out) {
  Floats x[kCount][2], acc[kCount][2] = {};
  for (int r = 0; r < kCount; r++)
    for (int c = 0; c < 2; c++) x[r][c] = load(panel + (first + r) * row + c * kFloats);
  for (int64_t j = 0; j < count; j++) {
    const Floats y0 = load(panel + j * row), y1 = load(panel + j * row + kFloats);
    for (int r = 0; r < kCount; r++) {
      const float w = weights[(first + r) * count + j];
      acc[r][0] += w * (x[r][0] - y0);
      acc[r][1] += w * (x[r][1] - y1);
    }
  }
  for (int r = 0; r < kCount; r++)
    for (int c = 0; c < 2; c++) store(out + r * kWidth + c * kFloats, acc[r][c]);
}

// Numbers [begin, end) of all items, no more than their span. `panel` is scratch memory, one row per item.
static void add_gradient_of_items(const Cut& cut, const float* image, int64_t begin, int64_t end, const float* weights,
                                  float scale, float* panel, float* gradient) {
  const int64_t count = cut.count, row = row_of(span_of(count));
  for (int64_t i = 0; i < count; i++) {
    copy_item(cut, image, i, begin, end, panel + i * row);
    for (int64_t t = end - begin; t < up(end - begin, kWidth); t++) panel[i * row + t] = 0;
  }
  float out[kOutputs * kWidth];
  for (int64_t i = 0; i < count; i += kOutputs) {
    const int64_t items = least(kOutputs, count - i);
    for (int64_t t = begin; t < end; t += kWidth) {
      const float* const block = panel + t - begin;
      if (items == kOutputs) {
        gradient_of_items<kOutputs>(block, row, i, count, weights, out);
      } else {
        for (int64_t r = 0; r < items; r++) gradient_of_items<1>(block, row, i + r, count, weights, out + r * kWidth);
      }
      for (int64_t r = 0; r < items; r++)
        each_piece(cut, item_start(cut, i + r), t, least(t + kWidth, end), [&](int64_t to, int64_t from, int64_t n) {
          for (int64_t u = 0; u < n; u++) gradient[to + u] += scale * out[r * kWidth + from + u];
        });
    }
  }
}

// The numbers of kWidth items in kCount lines: their own in own[kCount][kWidth], their weights in weights[count][kWidth].
template <int kCount>
static inline void gradient_of_lines(const float* lines, int64_t count, const float* own, const float* weights, float* out) {
  Floats x[kCount][2], acc[kCount][2] = {};
  for (int r = 0; r < kCount; r++)
    for (int c = 0; c < 2; c++) x[r][c] = load(own + r * kWidth + c * kFloats);
  for (int64_t j = 0; j < count; j++) {
    const Floats w0 = load(weights + j * kWidth), w1 = load(weights + j * kWidth + kFloats);
    for (int r = 0; r < kCount; r++) {
      const float y = lines[r * count + j];
      acc[r][0] += w0 * (x[r][0] - y);
      acc[r][1] += w1 * (x[r][1] - y);
    }
  }
  for (int r = 0; r < kCount; r++)
    for (int c = 0; c < 2; c++) store(out + r * kWidth + c * kFloats, acc[r][c]);
}

// Lines [begin, end). `panel` is scratch memory of count * kWidth floats.
static void add_gradient_of_lines(const Cut& cut, const float* image, int64_t begin, int64_t end, const float* weights,
                                  float scale, float* panel, float* gradient) {
  const int64_t count = cut.count;
  float own[kOutputs * kWidth] = {}, out[kOutputs * kWidth];
  for (int64_t x = 0; x < count; x += kWidth) {
    const int64_t width = least(kWidth, count - x);
    if (width < kWidth) std::memset(panel, 0, count * kWidth * sizeof(float));
    for (int64_t j = 0; j < count; j++) copy(panel + j * kWidth, weights + j * count + x, width);
    for (int64_t t = begin; t < end; t += kOutputs) {
      const float* const lines = image + t * count;
      const int64_t n = least(kOutputs, end - t);
      for (int64_t r = 0; r < n; r++) copy(own + r * kWidth, lines + r * count + x, width);
      if (n == kOutputs) {
        gradient_of_lines<kOutputs>(lines, count, own, panel, out);
      } else {
        for (int64_t r = 0; r < n; r++)
          gradient_of_lines<1>(lines + r * count, count, own + r * kWidth, panel, out + r * kWidth);
      }
      for (int64_t r = 0; r < n; r++)
        for (int64_t i = 0; i < width; i++) gradient[(t + r) * count + x + i] += scale * out[r * kWidth + i];
    }
  }
}

}  // namespace
}  // namespace fastnst::FASTNST_VARIANT
