// A generator's convolutions over its maps, row by row.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "engine/graph.h"
#include "engine/packing.h"

namespace fastnst {

// A map in somebody's memory, or some of its rows: pixels behind one another, with a border around them that readers see.
struct GraphMap {
  int64_t height = 0, width = 0;
  int64_t pixel = 0;  // numbers: the channels rounded up to 16, or 3
  int64_t border = 0;
  bool wide = false;            // numbers of 16 bits, or bytes
  int64_t row_bytes = 0;        // from one row to the next
  int64_t first = 0, rows = 0;  // that are there; the border has rows, too
  uint8_t* origin = nullptr;    // pixel (0, 0), which need not be there

  // Without memory yet, from the border above row 0 on. `rows`: how many there are at once; all without.
  GraphMap(const MapKind& kind, int64_t height, int64_t width, std::optional<int64_t> rows = {});

  uint64_t bytes() const;       // of the memory it needs
  void place(uint8_t* memory);  // aligned to 64 bytes
  // Goes on to rows [from, until); of those that it has, the ones before `end` stay.
  void slide(int64_t from, int64_t end, int64_t until);
  uint8_t* row(int64_t y) const { return origin + y * row_bytes; }
  int16_t* wide_row(int64_t y) const { return reinterpret_cast<int16_t*>(row(y)); }
  int64_t pixel_bytes() const { return pixel * (wide ? int64_t(sizeof(int16_t)) : 1); }
  // Fills the border next to row y once the row is there; row by row this completes it. Rows before `first` are left out.
  void fill_border(int64_t y, const MapKind& kind) const;
};

// A convolution with its weights arranged for the kernels.
class PackedConvolution {
 public:
  PackedConvolution(const Convolution& node, const MapKind& source, const MapKind& target);

  // Computes row y of the target.
  void run_row(const GraphMap& source, const GraphMap& target, int64_t y) const;

 private:
  // A convolution of the source whose window begins so many pixels above and left of an output's place.
  struct Phase {
    PackedWeights weights;
    int64_t above, left;
  };
  Phase pack_full(const Convolution& node, int64_t pixel) const;
  Phase pack_transposed(const Convolution& node, int64_t pixel, int row, int column) const;
  void pack_depthwise(const Convolution& node);
  void run_depthwise(const GraphMap& source, const GraphMap& target, int64_t y) const;

  Form form_;
  int stride_, run_;           // run: pixels that are computed together in one block
  std::vector<Phase> phases_;  // transposed: 2 x row parity + column parity
  std::vector<int8_t> depthwise_;
  std::vector<int32_t> bias_;
  std::vector<float> multiplier_;
};

}  // namespace fastnst
