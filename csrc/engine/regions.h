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
  std::vector<uint8_t> values;  // and some more, for vectors
};

struct Regions {
  std::vector<Mask> masks;
  std::optional<Mask> strength;  // or else full strength everywhere
  bool paints_rest;              // or else what no mask covers stays as it is

  // Regions and rest.
  size_t parts() const { return masks.size() + 1; }
};

// The weights of the parts of up to kMostCells cells of a grid, side by side.
constexpr int64_t kMostCells = 256;
struct CellWeights {
  // `parts`: at most kMaxRegions + 2.
  explicit CellWeights(size_t parts) : stride(parts <= kFew ? kMostCells : kRoom / (kMaxRegions + 2)) {}

  const int64_t stride;  // from one part to the next, and as many cells as there is room for
  uint16_t* of(size_t part) { return values + int64_t(part) * stride; }
  const uint16_t* of(size_t part) const { return values + int64_t(part) * stride; }

 private:
  static constexpr int64_t kRoom = 64 * (kMaxRegions + 2);
  static constexpr size_t kFew = size_t(kRoom / kMostCells);
  alignas(64) uint16_t values[kRoom];
};

// The weights of the parts of one picture, on a grid of its pixels or features.
class RegionGrid {
 public:
  // `regions`: lives as long as this. Throws std::invalid_argument if there are too many.
  RegionGrid(const Regions& regions, int64_t height, int64_t width, int64_t step);

  size_t parts() const { return regions_.parts(); }
  bool paints_rest() const { return regions_.paints_rest; }
  // Of `count` cells from x on in row y whose part they are, and what is painted there, the content last. The weights of a cell
  // sum to kFull. Returns the part that has all of all these cells, if there is one. Up to 15 weights beyond `count` are
  // written, too.
  using Owner = size_t;
  static constexpr Owner kSeveral = ~size_t(0);  // no std::optional, of whose absent value compiled code may look at the number
  Owner shares(int64_t y, int64_t x, int64_t count, CellWeights& weights) const;
  Owner painted(int64_t y, int64_t x, int64_t count, CellWeights& weights) const;
  // shares() of the masks, without the rest, of each of `height` rows from y on: [height][parts() - 1][width].
  std::vector<uint16_t> shares(int64_t y, int64_t x, int64_t height, int64_t width, int threads) const;

 private:
  // What each cell along a side is made of: so many pixels of a mask, from one on.
  struct Axis {
    int64_t width = 0, stride = 0;  // pixels of a cell; from the first one's taps to the next one's
    std::vector<int32_t> first;     // [cells, and some more]
    std::vector<uint16_t> taps;     // [width][stride]
  };
  struct Scaled {
    const Mask* mask;
    bool same;  // its pixels are the cells
    Axis rows, columns;
  };
  static Axis axis(int64_t side, int64_t step, int64_t pixels);
  // Returns the weight that all of the cells have, or -1.
  static int cover(const Scaled& scaled, int64_t y, int64_t x, int64_t count, uint16_t* weights);

  const Regions& regions_;
  std::vector<Scaled> scaled_;  // the masks, and the strength
};

// Calls run(weight, begin, end) for runs of cells of one weight above 0.
template <typename Run>
void for_weights(const uint16_t* weights, int64_t count, Run&& run) {
  for (int64_t begin = 0, end = 0; begin < count; begin = end) {
    for (end = begin + 1; end < count && weights[end] == weights[begin];) end++;
    if (weights[begin] > 0) run(weights[begin], begin, end);
  }
}

// Adds q and q squared of one block of 16 channels of `count` cells, `stride` bytes apart, times the weights of the cells.
// Returns the sum of these.
uint64_t weigh_cells(const uint8_t* q, const uint16_t* weights, int64_t count, int64_t stride, uint64_t* sums,
                     uint64_t* squares);

// The blend of what each part becomes, (sum of weight * byte + 128) >> 8. `parts`: those of `grid` and the content, which are
// called where they have a weight alone. `stride`: bytes of a cell. `grid` lives as long as the result.
Codec::RowTransform blended(const RegionGrid& grid, std::vector<Codec::RowTransform> parts, int64_t stride);

}  // namespace fastnst
