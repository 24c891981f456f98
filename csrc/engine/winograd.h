// Layers in Winograd form; fastnst/format/winograd.py says what they compute.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "engine/model.h"
#include "engine/packing.h"

namespace fastnst {

struct Map;

constexpr int positions(bool upsample) { return upsample ? 9 : 16; }

// Makes of a layer's 3x3 kernels [outputs][3][3][inputs], biases and multipliers [outputs] those of its positions. Throws
// ModelError if a scale is out of range, a number becomes too large, or outputs could; sums are not proved here.
void derive_positions(Layer& layer, const std::string& where);

// A layer with its weights arranged for the kernels.
class PackedWinograd {
 public:
  explicit PackedWinograd(const Layer& layer);

  // Scratch bytes that each thread needs.
  uint64_t scratch_bytes() const;

  // Fills `target`, and its border with what comes to lie there. `source`, and `scratch` of scratch_bytes() for each thread, as
  // for PackedLayer.
  void run(const Map& source, const Map& target, uint8_t* scratch, int threads) const;

 private:
  // Up to 64 outputs, whose sums are made and used together.
  struct Group {
    int lanes;
    std::vector<PackedWeights> weights;  // of each position
    std::vector<float> multiplier;       // [positions][lanes]
  };
  // Tiles that lie side by side in one row of them.
  struct Run {
    int64_t row, column, first, count;  // first: among the tiles that are computed together
  };

  int64_t window_bytes() const { return kTiles * channels_ + kLanes * 4; }  // of one position
  int64_t each() const { return pool_ == Pool::none ? 2 : 1; }              // pixels of the target to a tile's side
  void run_tiles(const Map& source, const Map& target, int64_t first, int64_t count, uint8_t* scratch) const;
  void take_windows(const Map& source, const Run& run, uint8_t* windows) const;
  void put_outputs(const Group& group, const Map& source, const Map& target, const Run& run, const int32_t* sums,
                   int64_t offset) const;

  // Tiles computed together: whole tiles of registers for any number of outputs. Fewer cost more calls, more leave the cache.
  static constexpr int64_t kTiles = 24;

  int64_t channels_;  // of the source, rounded up
  bool upsample_;
  Pool pool_;
  int32_t zero_;
  std::vector<int16_t> scales_;
  std::vector<Group> groups_;
};

}  // namespace fastnst
