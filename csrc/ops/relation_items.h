// The memory layout of the items of an image, and squared distances of tiles of pairs.
#pragma once

#include "ops/relation.h"
#include "ops/vector.h"

namespace fastnst::FASTNST_VARIANT {
namespace {

constexpr int64_t kTile = 32;  // pairs are processed in tiles of kTile x kTile items
// The number of an item's numbers whose squares are summed in float32. It is small, for the accuracy of the sum, and so that
// two panels of kTile items stay in the cache. Each lane sums one number in kFloats if an item is contiguous.
constexpr int64_t kChunk = 512, kLineChunk = 128;
constexpr int64_t kPanelRow = kChunk + 16;  // the length of a panel's row, not a multiple of the cache's period
constexpr int64_t kPanel = kTile * kPanelRow;
constexpr int64_t kWidth = 2 * kFloats;  // adjacent numbers that are computed at once

static inline int64_t up(int64_t value, int64_t step) { return (value + step - 1) / step * step; }
static inline int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }
static inline int64_t most(int64_t a, int64_t b) { return a > b ? a : b; }

// Most copies are of a few vectors, for which a call of memcpy takes longer than copying.
static inline void copy(float* to, const float* from, int64_t n) {
  int64_t t = 0;
  for (; t + kFloats <= n; t += kFloats) store(to + t, load(from + t));
  for (; t < n; t++) to[t] = from[t];
}

// One way to cut an image [channels, height, width] into `count` items of `size` numbers. The order of an item's numbers does
// not matter. They are in runs of `length`; or, for columns, number t of all items is adjacent, at t * count.
struct Cut {
  int64_t count, size;
  bool lines;
  int64_t length;
  int64_t across, item_down, item_across;  // item i begins at i / across * item_down + i % across * item_across
  int64_t inner, run_outer, run_inner;     // and its run r at r / inner * run_outer + r % inner * run_inner from there
};

static Cut cut_of(int kind, int64_t channels, int64_t height, int64_t width, int64_t patch) {
  const int64_t plane = height * width;
  if (kind == kRows) return {height, channels * width, false, width, 1, width, 0, 1, plane, 0};
  if (kind == kColumns) return {width, channels * height, true, 1, width, 0, 1, 1, width, 0};
  const int64_t across = width / patch;
  return {height / patch * across, channels * patch * patch, false, patch, across, patch * width, patch, patch, plane, width};
}

static inline int64_t item_start(const Cut& cut, int64_t i) {
  return i / cut.across * cut.item_down + i % cut.across * cut.item_across;
}

// Calls visit(offset in the image, offset from `begin`, length) for the pieces of numbers [begin, end) of the item at `start`.
template <typename Visit>
static inline void each_piece(const Cut& cut, int64_t start, int64_t begin, int64_t end, Visit&& visit) {
  for (int64_t t = begin; t < end;) {
    const int64_t run = t / cut.length, skip = t % cut.length, n = least(cut.length - skip, end - t);
    visit(start + run / cut.inner * cut.run_outer + run % cut.inner * cut.run_inner + skip, t - begin, n);
    t += n;
  }
}

// Numbers [begin, end) of one item, followed by zeros to a whole vector.
static void copy_item(const Cut& cut, const float* image, int64_t item, int64_t begin, int64_t end, float* out) {
  each_piece(cut, item_start(cut, item), begin, end,
             [&](int64_t from, int64_t to, int64_t n) { copy(out + to, image + from, n); });
  for (int64_t t = end - begin; t < up(end - begin, kFloats); t++) out[t] = 0;
}

// Items [first, first + kTile), zeros for those that do not exist: panel[i][t], or panel[t][i] of lines.
static void copy_panel(const Cut& cut, const float* image, int64_t first, int64_t begin, int64_t end, float* panel) {
  const int64_t items = least(kTile, cut.count - first);
  if (cut.lines) {
    for (int64_t t = begin; t < end; t++, panel += kTile) {
      copy(panel, image + t * cut.count + first, items);
      for (int64_t i = items; i < kTile; i++) panel[i] = 0;
    }
    return;
  }
  for (int64_t i = 0; i < items; i++) copy_item(cut, image, first + i, begin, end, panel + i * kPanelRow);
  if (items < kTile) std::memset(panel + items * kPanelRow, 0, (kTile - items) * kPanelRow * sizeof(float));
}

// Adds squared distances of kItems by kOthers contiguous items to `sums`, all in registers.
constexpr int kItems = 4, kOthers = kBytes == 64 ? 4 : 2;

static inline void add_squares_of_items(const float* a, const float* b, int64_t length, double* sums) {
  Floats acc[kItems][kOthers] = {};
  for (int64_t t = 0; t < length; t += kFloats) {
    Floats y[kOthers];
    for (int c = 0; c < kOthers; c++) y[c] = load(b + c * kPanelRow + t);
    for (int r = 0; r < kItems; r++) {
      const Floats x = load(a + r * kPanelRow + t);
      for (int c = 0; c < kOthers; c++) acc[r][c] += (x - y[c]) * (x - y[c]);
    }
  }
  for (int r = 0; r < kItems; r++)
    for (int c = 0; c < kOthers; c++) sums[r * kTile + c] += sum(acc[r][c]);
}

// The same for kLineItems by kWidth items of which each line has one number.
constexpr int kLineItems = kBytes == 64 ? 8 : 4;

static inline void add_squares_of_lines(const float* a, const float* b, int64_t length, double* sums) {
  Floats acc[kLineItems][2] = {};
  for (int64_t t = 0; t < length; t++) {
    const Floats y0 = load(b + t * kTile), y1 = load(b + t * kTile + kFloats);
    for (int r = 0; r < kLineItems; r++) {
      const float x = a[t * kTile + r];
      acc[r][0] += (x - y0) * (x - y0);
      acc[r][1] += (x - y1) * (x - y1);
    }
  }
  for (int r = 0; r < kLineItems; r++)
    for (int c = 0; c < 2; c++)
      for (int l = 0; l < kFloats; l++) sums[r * kTile + c * kFloats + l] += acc[r][c][l];
}

// The sums over numbers [begin, end) of the items of tile (i0, j0), j0 >= i0. Some below the diagonal of the matrix are left
// out. `panels` is scratch memory of 2 * kPanel floats.
static void squares_of_tile(const Cut& cut, const float* image, int64_t i0, int64_t j0, int64_t begin, int64_t end,
                            float* panels, double* sums) {
  std::memset(sums, 0, kTile * kTile * sizeof(double));
  float* const a = panels;
  float* const b = i0 == j0 ? panels : panels + kPanel;
  const int64_t chunk = cut.lines ? kLineChunk : kChunk;
  const int64_t rows = least(kTile, cut.count - i0), columns = least(kTile, cut.count - j0);
  for (int64_t t = begin; t < end; t += chunk) {
    const int64_t stop = least(t + chunk, end);
    copy_panel(cut, image, i0, t, stop, a);
    if (b != a) copy_panel(cut, image, j0, t, stop, b);
    if (cut.lines) {
      for (int64_t i = 0; i < rows; i += kLineItems)
        for (int64_t j = 0; j < columns; j += kWidth)
          if (i0 + i < j0 + j + kWidth) add_squares_of_lines(a + i, b + j, stop - t, sums + i * kTile + j);
    } else {
      for (int64_t i = 0; i < rows; i += kItems)
        for (int64_t j = 0; j < columns; j += kOthers)
          if (i0 + i < j0 + j + kOthers)
            add_squares_of_items(a + i * kPanelRow, b + j * kPanelRow, up(stop - t, kFloats), sums + i * kTile + j);
    }
  }
}

}  // namespace
}  // namespace fastnst::FASTNST_VARIANT
