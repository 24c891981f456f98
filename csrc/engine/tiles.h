// Pictures of any size in bounded memory: rows come in, tiles are encoded and put aside, tiles are decoded, rows go out. The
// bytes are those of the whole picture at once: tiles overlap by what the networks see, and statistics are sums of integers.
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/temporary_storage.h"
#include "engine/codec.h"

namespace fastnst {

// Where the rows of a picture come from and where those of the result go: `width` x 3 bytes each. Exceptions thrown by these
// functions end the work.
struct RowIO {
  int64_t height, width;
  // Puts rows [first, first + count) into `rows`. Called in ascending order, and again from 0 for another pass.
  std::function<void(int64_t first, int64_t count, uint8_t* rows)> read;
  std::function<void(const uint8_t* rows, int64_t count)> write;  // the next rows, from 0 on
  std::function<void(double part)> tell;                          // the fraction that is done, from 0 to 1
  int threads;
};

// Throws std::invalid_argument: a picture of this size takes at least `least` bytes, and `budget` are allowed.
[[noreturn]] void refuse_budget(int64_t height, int64_t width, uint64_t least, uint64_t budget);

// What a side may be divided into: equal parts, their sides rounded up to `unit`; the largest first.
std::vector<int64_t> tile_sides(int64_t side, int64_t unit);

// Reports the progress of work that takes `passes` passes over the picture.
class Progress {
 public:
  Progress(const RowIO& io, size_t passes) : io_(io), passes_(double(passes)) {}
  // `count` of the `all` units of a pass are done.
  void add(int64_t count, int64_t all) { io_.tell(std::min((done_ += double(count) / double(all)) / passes_, 1.0)); }

 private:
  const RowIO& io_;
  const double passes_;
  double done_ = 0;
};

// How a picture is cut, and what that takes.
struct Tiling {
  int64_t height, width;  // of a tile, without what it overlaps with others
  bool in_memory;         // what is put aside between two passes
  uint64_t bytes;         // of working memory
};

// The tiling with the least work for pictures of this size, through all of `codecs` in turn, that keeps to `budget` bytes
// beside the `fixed` ones that no tiling changes. A whole picture can be one tile. `keeps`: anything at all is put aside.
// Throws std::invalid_argument, saying how much it takes, if nothing keeps to the budget.
Tiling plan_tiles(const std::vector<const Codec*>& codecs, int64_t height, int64_t width, int threads, uint64_t fixed,
                  uint64_t budget, bool keeps);

// The features of a picture whose rows are given to it one after the other. It puts them aside; for networks without pools,
// whose features are larger than the picture, the picture itself, which it then encodes once more.
class TiledFeatures {
 public:
  using OnTile = std::function<void(const FeatureView& tile, Place first)>;

  // `on_tile` is called once for each tile's features. `folder`: see TemporaryStorage. `keeps`: false if decode() will not be
  // called.
  TiledFeatures(const Codec& codec, Workspaces& workspaces, const RowIO& io, const Tiling& tiling, const std::string& folder,
                bool keeps, OnTile on_tile);

  // Takes all rows that `io` reads, or the next ones from anybody.
  void read();
  void take(const uint8_t* rows, int64_t count);

  using Write = std::function<void(const uint8_t* rows, int64_t count)>;
  // The picture of the features transformed, in order, once all rows have been taken.
  void decode(const Codec::RowTransform& transform, const Write& write);

 private:
  // Some of the picture's features.
  struct Part {
    int64_t top, left, height, width;
  };
  Part grown(const Part& part, int64_t reach) const;
  // The pixels of the picture that features stand for along a side: none beyond the picture's.
  int64_t pixel_rows(const Part& part) const;
  int64_t pixel_columns(const Part& part) const;

  // Where the next rows belong, and how many of them are needed to go on; 0 when the whole picture has been taken.
  uint8_t* next_rows(int64_t& count);
  void have_rows(int64_t count);
  void encode_band();
  void keep(const FeatureView& tile, const Part& part);
  Encoded kept(const Part& part) const;
  Encoded encoded_again(const Part& part) const;

  const Codec& codec_;
  Workspaces& workspaces_;
  const RowIO& io_;
  const OnTile on_tile_;
  const bool keeps_pixels_;
  const int64_t stride_, rows_, columns_, feature_bytes_;  // of the picture's map of features
  const int64_t tile_rows_, tile_columns_;                 // features of a tile
  std::unique_ptr<TemporaryStorage> storage_;
  Buffer band_;  // rows [top_, end_) of the picture, for the tiles whose features begin at row next_
  int64_t top_ = 0, end_ = 0, next_ = 0;
};

}  // namespace fastnst
