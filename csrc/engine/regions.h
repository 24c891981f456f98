// Where in a picture which style holds: masks, scaled by integer arithmetic alone, and the blend of what the styles make there.
//
// Masks are scaled to a grid of cells, each `step` x `step` pixels of the picture, by a triangle that grows with the cells.
// Along a side of S pixels, with a mask of m, in units of 1 / (2 S) of a mask's pixel: pixel j lies at (2j + 1) S, cell i at
// (2i + 1) step m, and
//   w_ij = max(0, 2 max(S, step m) - |(2j + 1) S - (2i + 1) step m|)
// are made integers c_ij whose sum is 2^15 by shared(), in the order of j. Then, first along columns and then along rows,
//   u = (sum of c * value + 2^6) >> 7,  v = (sum of c * u + 2^14) >> 15,  weight = (v + 127) / 255, rounded down: 0..kFull.
// Where the weights of a cell sum above kFull, they are shared() to kFull; what is missing to kFull is the rest.
//
// What is painted: if the rest is not, the regions of a cell that has any are shared() to kFull. With a mask of strength s, of
// all these in their order, the sums c_i become (s * c_i + 128) >> 8. What is missing to kFull stays as the content is.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <vector>

#include "engine/codec.h"

namespace fastnst {

constexpr int kFull = 256;          // the weight of a cell that belongs to one region alone
constexpr int64_t kMaxMask = 4096;  // pixels of a mask's side
constexpr size_t kMaxRegions = 64;
// Throws std::invalid_argument.
void check_region_count(size_t count);

// A grey picture: 0 = nothing, 255 = all.
struct Mask {
  // Throws std::invalid_argument if it has no pixels, or a side of more than kMaxMask.
  Mask(int64_t height, int64_t width, const uint8_t* values);

  int64_t height, width;
  std::vector<uint8_t> values;
};

struct Regions {
  std::vector<Mask> masks;
  std::optional<Mask> strength;  // or else full strength everywhere
  bool paints_rest;              // or else what no mask covers stays as it is

  // Regions and rest.
  size_t parts() const { return masks.size() + 1; }
};

// The weights of the parts of one picture, on a grid of its pixels or features.
class RegionGrid {
 public:
  // `regions`: lives as long as this. Throws std::invalid_argument if there are too many.
  RegionGrid(const Regions& regions, int64_t height, int64_t width, int64_t step);

  size_t parts() const { return regions_.parts(); }
  bool paints_rest() const { return regions_.paints_rest; }
  // Of `count` cells from x on in row y: [parts()][count] whose part they are, or [parts() + 1][count] what is painted there,
  // the content last. The weights of a cell sum to kFull.
  void shares(int64_t y, int64_t x, int64_t count, uint16_t* weights) const;
  void painted(int64_t y, int64_t x, int64_t count, uint16_t* weights) const;
  // shares() of each of `height` rows from y on: [height][parts()][width].
  std::vector<uint16_t> shares(int64_t y, int64_t x, int64_t height, int64_t width, int threads) const;

 private:
  // The pixels [first, first + taps) of a mask that each cell along a side is made of.
  struct Axis {
    std::vector<int32_t> first, start;  // start: of a cell's taps; one more at the end
    std::vector<uint16_t> taps;
    int64_t end(int64_t cell) const { return first[size_t(cell)] + start[size_t(cell) + 1] - start[size_t(cell)]; }
  };
  struct Scaled {
    const Mask* mask;
    bool same;  // its pixels are the cells
    Axis rows, columns;
  };
  static Axis axis(int64_t side, int64_t step, int64_t pixels);
  void cover(const Scaled& scaled, int64_t y, int64_t x, int64_t count, uint16_t* weights) const;

  const Regions& regions_;
  std::vector<Scaled> scaled_;  // the masks, and the strength
};

// Calls whole(part, begin, end) for cells that belong to one of `parts` alone, blended(begin, end) for others: cells of
// weights [parts][count], in order.
template <typename Whole, typename Blended>
void for_runs(const uint16_t* weights, size_t parts, int64_t count, Whole&& whole, Blended&& blended) {
  const auto owner = [&](int64_t x) {
    size_t part = 0;
    while (part < parts && weights[int64_t(part) * count + x] != kFull) part++;
    return part;
  };
  for (int64_t begin = 0, end = 0; begin < count; begin = end) {
    const size_t part = owner(begin);
    for (end = begin + 1; end < count && owner(end) == part;) end++;
    if (part < parts)
      whole(part, begin, end);
    else
      blended(begin, end);
  }
}

// Calls run(weight, begin, end) for runs of cells of one weight above 0.
template <typename Run>
void for_weights(const uint16_t* weights, int64_t count, Run&& run) {
  for (int64_t begin = 0, end = 0; begin < count; begin = end) {
    for (end = begin + 1; end < count && weights[end] == weights[begin];) end++;
    if (weights[begin] > 0) run(weights[begin], begin, end);
  }
}

// Blends bytes: add() those of each part, then take() them: (sum of weight * byte + 128) >> 8.
class Blend {
 public:
  static constexpr int64_t kMost = 4096;  // bytes

  void begin(int64_t bytes) { std::fill_n(sums_, bytes, uint16_t(kFull / 2)); }
  // `count` cells of `stride` bytes from cell `first` on.
  void add(const uint16_t* weights, const uint8_t* cells, int64_t first, int64_t count, int64_t stride);
  void take(uint8_t* to, int64_t bytes) const;

 private:
  uint16_t sums_[kMost];  // at most 255 * kFull + kFull / 2
};

// The blend of what each part becomes, `parts`: those of `grid` and the content, which are called where they have a weight
// alone. `stride`: bytes of a cell. `grid` lives as long as the result.
Codec::RowTransform blended(const RegionGrid& grid, std::vector<Codec::RowTransform> parts, int64_t stride);

}  // namespace fastnst
