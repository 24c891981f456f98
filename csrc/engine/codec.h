// What every kind of model does on either side of its transform: pictures into feature maps, feature maps into pictures.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <vector>

#include "engine/network.h"

namespace fastnst {

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

  // `picture`: height x width x 3, of any size from 1 x 1. Sides that are not a multiple of what the encoder's pools divide
  // them by are extended by repeating the last row and column. Throws std::invalid_argument if it is too small or too large.
  Encoded encode(const uint8_t* picture, int64_t height, int64_t width, int threads, Workspaces& workspaces) const;

  // Turns one row of the encoder's map into one of the decoder's input, both of map_stride(channels()) bytes a pixel.
  using RowTransform = std::function<void(const uint8_t* features, uint8_t* input)>;
  // The picture, as large as the one encoded, of features transformed row by row; rows in any order, from many threads.
  // Throws std::invalid_argument if the features are of another model.
  void decode(const Encoded& features, const RowTransform& transform, uint8_t* picture, int threads,
              Workspaces& workspaces) const;

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
  Network encoder_, decoder_;
};

}  // namespace fastnst
