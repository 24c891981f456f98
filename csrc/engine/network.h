// Runs chains of layers over feature maps.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "base/buffer.h"
#include "engine/kernels/kernels.h"
#include "engine/model.h"
#include "engine/packing.h"
#include "engine/winograd.h"

namespace fastnst {

// What the one-pixel border around a map holds, decided by the layer that reads it.
enum class Border { none, reflect, edge };

// A feature map in somebody's buffer: rows of pixels of `stride` bytes, with a border of one pixel on every side.
struct Map {
  uint8_t* origin = nullptr;  // pixel (0, 0)
  int64_t height = 0, width = 0;
  int64_t stride = 0;  // bytes per pixel: 3 for pictures, otherwise the channels rounded up to 16

  int64_t row_bytes() const { return (width + 2) * stride; }
  uint8_t* row(int64_t y) const { return origin + y * row_bytes(); }

  // Lays a map out in `buffer`, which must have map_bytes() of it.
  static Map in(Buffer& buffer, int64_t height, int64_t width, int64_t stride);
};

uint64_t map_bytes(int64_t height, int64_t width, int64_t stride);
int64_t map_stride(int channels);

// Fills the border next to row y, once the row's pixels are there. Row by row, this completes the whole border.
void fill_border(const Map& map, int64_t y, Border border);

struct LayerTime;

// A layer with its weights arranged for the kernels.
class PackedLayer {
 public:
  // `picture_in`: the input has 3 bytes a pixel. `picture_out`: so has the output.
  PackedLayer(const Layer& layer, bool picture_in, bool picture_out);

  Border border() const { return upsample_ ? Border::edge : kernel_ == 3 ? Border::reflect : Border::none; }
  int outputs() const { return outputs_; }
  // What it is for an input of this size; no time yet.
  LayerTime described(int64_t height, int64_t width) const;
  bool writes_pictures() const { return picture_out_; }
  int64_t output_side(int64_t side) const;
  // Where the input is a part of a larger map, and so many pixels next to an edge of it are wrong: how many of the output are.
  int64_t spoiled(int64_t wrong) const;

  // Scratch bytes that each thread needs for an input of this width.
  uint64_t scratch_bytes(int64_t width) const;

  // Fills `target` and the border that its reader wants. `scratch`: scratch_bytes() for each thread.
  void run(const Map& source, const Map& target, Border target_border, uint8_t* scratch, int threads) const;
  // The same into a picture without border, `height` x `width` x 3, cut off at the right and bottom.
  void run_to_picture(const Map& source, uint8_t* picture, int64_t height, int64_t width, uint8_t* scratch, int threads) const;

 private:
  int64_t conv_side(int64_t side) const { return upsample_ ? 2 * side : side; }
  // Row y of the convolution, before pooling.
  void conv_row(const Map& source, int64_t y, uint8_t* target) const;
  void picture_row(const Map& source, int64_t y, uint8_t* target, int64_t width) const;
  void pooled_row(const Map& source, int64_t y, uint8_t* target, uint8_t* scratch) const;

  int inputs_, outputs_, kernel_, taps_;
  int64_t source_stride_, target_stride_;
  bool upsample_, picture_out_;
  Pool pool_;
  int32_t zero_;
  std::vector<PackedWeights> phases_;       // of a direct layer
  std::optional<PackedPicture> picture_;    // of one that writes pictures with a kernel of its own
  std::optional<PackedWinograd> winograd_;  // of one in the other form
};

// A layer at work, and the fewest seconds that took.
struct LayerTime {
  int inputs, outputs, kernel;
  bool upsample, pool, winograd;
  int64_t height, width;  // of the convolution, before pooling
  double seconds;
};

// The two buffers that the maps of a chain alternate between, and scratch; kept from one picture to the next.
struct Workspace {
  Buffer slots[2], scratch;
};

class Network {
 public:
  // `pictures_out`: the last layer writes RGB pictures.
  Network(std::vector<Layer> layers, bool pictures_in, bool pictures_out);

  const PackedLayer& first() const { return layers_.front(); }
  const PackedLayer& last() const { return layers_.back(); }

  // Output pixels that are wrong next to an edge of the input that is not an edge of the picture. Parts of maps must begin and
  // end at multiples of what the network's pools divide sides by.
  int64_t spoiled() const;

  // Bytes that the input, the intermediate maps and the scratch of `threads` threads need, and the size of the output.
  struct Plan {
    uint64_t slots[2], scratch;
    int64_t height, width;
  };
  Plan plan(int64_t height, int64_t width, int threads) const;

  // Reserves the workspace; returns the input map, to be filled with its border before run_inner().
  Map prepare(Workspace& workspace, const Plan& plan, int64_t height, int64_t width) const;
  // Each layer run alone `repeats` times on a map of noise, as for an input of this size.
  std::vector<LayerTime> layer_times(int64_t height, int64_t width, int threads, int repeats) const;
  // Every layer but the last: returns the last one's input.
  Map run_inner(Workspace& workspace, Map map, int threads) const;

 private:
  std::vector<PackedLayer> layers_;
  int64_t input_stride_;
};

}  // namespace fastnst
