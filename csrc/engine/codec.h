// What every kind of model does on either side of its transform: pictures into feature maps, feature maps into pictures.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <vector>

#include "engine/network.h"

namespace fastnst {

// A picture in somebody's memory, or a part of one: pixels of 3 bytes.
struct PictureView {
  const uint8_t* origin;
  int64_t height, width;
  int64_t row_bytes;  // from one row to the next

  PictureView(const uint8_t* pixels, int64_t height, int64_t width)
      : origin(pixels), height(height), width(width), row_bytes(width * 3) {}
  // `height` x `width` pixels of another one.
  PictureView(const PictureView& whole, int64_t top, int64_t left, int64_t height, int64_t width)
      : origin(whole.row(top) + left * 3), height(height), width(width), row_bytes(whole.row_bytes) {}
  const uint8_t* row(int64_t y) const { return origin + y * row_bytes; }
};

// Pixels of a feature map, and of nothing around it.
struct FeatureView {
  const uint8_t* origin;
  int64_t height, width, row_bytes;
  int64_t stride;  // bytes per pixel

  explicit FeatureView(const Map& map)
      : origin(map.origin), height(map.height), width(map.width), row_bytes(map.row_bytes()), stride(map.stride) {}
  // `height` x `width` pixels of another one.
  FeatureView(const FeatureView& whole, int64_t top, int64_t left, int64_t height, int64_t width)
      : origin(whole.row(top) + left * whole.stride),
        height(height),
        width(width),
        row_bytes(whole.row_bytes),
        stride(whole.stride) {}
  const uint8_t* row(int64_t y) const { return origin + y * row_bytes; }
};

// Where a pixel of features is in those of the whole picture.
struct Place {
  int64_t y = 0, x = 0;
};

// What an encoder makes of a picture.
struct Encoded {
  int64_t height = 0, width = 0;  // of the picture
  Map map;                        // without border
  int channels = 0;
  Buffer memory;
};

// Workspaces that no call is using, for calls from any number of threads.
class Workspaces {
 public:
  // A workspace of one's own for as long as it lives.
  class Lease {
   public:
    explicit Lease(Workspaces& owner);
    ~Lease();
    Lease(const Lease&) = delete;
    Lease& operator=(const Lease&) = delete;
    Workspace& operator*() { return *workspace_; }

   private:
    Workspaces& owner_;
    std::unique_ptr<Workspace> workspace_;
  };

 private:
  static constexpr int kMost = 64;  // that stay idle: a list that never grows, for giving back may not fail
  std::mutex mutex_;
  int count_ = 0;
  std::unique_ptr<Workspace> idle_[kMost];
};

// The networks of one stage.
class Codec {
 public:
  explicit Codec(const Stage& stage);

  int channels() const { return channels_; }
  // Pixels of the picture, along a side, for one of the features.
  int64_t stride() const { return stride_; }
  int64_t features_along(int64_t side) const { return (side + stride_ - 1) / stride_; }
  // Features next to an edge of a part of a picture, where the picture goes on, that are not those of the whole picture, and
  // features that the decoder must see beyond such an edge for its pixels to be. Even, so that kernels may pair pixels: in
  // parts that begin at even features they then pair them as in the whole. Throw std::invalid_argument if the networks are such
  // that parts say nothing about the whole: if the encoder enlarges maps somewhere or the decoder shrinks them.
  int64_t encoder_reach() const;
  int64_t decoder_reach() const;

  // Takes pictures of any size from 1 x 1. Sides that are not a multiple of what the encoder's pools divide
  // them by are extended by repeating the last row and column. Throws std::invalid_argument if it is too small or too large.
  Encoded encode(const PictureView& picture, int threads, Workspaces& workspaces) const;

  // Turns some pixels of the encoder's map, side by side, into those of the decoder's input, both of map_stride(channels())
  // bytes.
  using RowTransform = std::function<void(const uint8_t* features, uint8_t* input, int64_t pixels, Place first)>;
  // The picture, as large as the one encoded, of features transformed row by row; rows in any order, from many threads.
  // `origin`: the place of the first of the features. Throws std::invalid_argument if they are of another model.
  void decode(const Encoded& features, const RowTransform& transform, uint8_t* picture, int threads, Workspaces& workspaces,
              Place origin = {}) const;

  // Network::layer_times of the encoder for a picture of this size, followed by those of the decoder.
  std::vector<LayerTime> layer_times(int64_t height, int64_t width, int threads, int repeats) const;

  // Bytes for a picture of this size: of the workspace that both directions share, and of the feature map between them.
  struct Needs {
    uint64_t slots[2], scratch, features;
    int64_t height, width;  // of the feature map
  };
  Needs needs(int64_t height, int64_t width, int threads) const;

 private:
  int64_t extended(int64_t side) const;

  int channels_;
  int64_t stride_;  // what the encoder divides sides by
  bool divisible_;  // into parts
  Network encoder_, decoder_;
};

}  // namespace fastnst
