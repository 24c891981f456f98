#include "engine/tiles.h"

#include <algorithm>
#include <cstring>
#include <stdexcept>
#include <utility>

#include "base/checked.h"

namespace fastnst {
namespace {

// A file of features costs at most a tenth of the time: all that the system did for 256 megapixels took as much of adain-16x's.
constexpr double kFileCost = 1.1;

bool keeps_pixels(const Codec& codec) { return codec.stride() == 1; }

// Bytes put aside of a picture.
uint64_t stored_bytes(const Codec& codec, int64_t height, int64_t width) {
  const uint64_t pixel = keeps_pixels(codec) ? 3 : uint64_t(map_stride(codec.channels()));
  const uint64_t pixels = checked_multiply(uint64_t(codec.features_along(height)), uint64_t(codec.features_along(width)));
  return checked_multiply(pixels, pixel);
}

// Working memory for a tile, without what is put aside.
uint64_t tile_bytes(const std::vector<const Codec*>& codecs, int64_t height, int64_t width, int threads, bool keeps,
                    const Tiling& tile) {
  Codec::Needs most{};
  uint64_t in = 0, out = 0;
  for (const Codec* codec : codecs) {
    const int64_t stride = codec->stride();
    const int64_t before = codec->encoder_reach() * stride, after = keeps ? codec->decoder_reach() * stride : 0;
    const bool again = keeps && keeps_pixels(*codec);
    const int64_t reach = again ? before + after : std::max(before, after);
    const int64_t h = std::min(height, tile.height + 2 * reach), w = std::min(width, tile.width + 2 * reach);
    const Codec::Needs needs = codec->needs(h, w, threads);
    for (int i = 0; i < 2; i++) most.slots[i] = std::max(most.slots[i], needs.slots[i]);
    most.scratch = std::max(most.scratch, needs.scratch);
    most.features = std::max(most.features, (again ? 2 : 1) * needs.features);
    const uint64_t window = uint64_t(h) * uint64_t(w) * 3;
    const uint64_t row = checked_multiply(uint64_t(width), 3);
    in = std::max(in, checked_multiply(row, uint64_t(std::min(height, tile.height + 2 * before))));
    if (keeps) out = std::max(out, checked_multiply(row, uint64_t(std::min(height, tile.height))) + window);
  }
  // The rows that one level writes are the next one's.
  const uint64_t rows = codecs.size() > 1 && keeps ? checked_add(in, out) : std::max(in, out);
  return checked_add(checked_add(rows, most.features), checked_add(most.scratch, checked_add(most.slots[0], most.slots[1])));
}

// Pixels that are computed along a side, as a multiple of the side.
double overlap(int64_t side, int64_t tile, int64_t reach) {
  return 1 + double((side + tile - 1) / tile - 1) * double(2 * reach) / double(side);
}

std::string megabytes(uint64_t bytes) {
  if (bytes < 100'000) return std::to_string(bytes) + " bytes";  // whoever asks for 512 means megabytes, and should see it
  const uint64_t tenths = (bytes + 99'999) / 100'000;
  return std::to_string(tenths / 10) + "." + std::to_string(tenths % 10) + " MB";
}

}  // namespace

void refuse_budget(int64_t height, int64_t width, uint64_t least, uint64_t budget) {
  throw std::invalid_argument("a picture of " + std::to_string(width) + " x " + std::to_string(height) +
                              " pixels takes at least " + megabytes(least) + " of memory, and " + megabytes(budget) +
                              " are allowed");
}

std::vector<int64_t> tile_sides(int64_t side, int64_t unit) {
  std::vector<int64_t> sides;
  for (int64_t parts = 1, last = 0; parts <= (side + unit - 1) / unit; parts += 1 + parts / 16) {
    const int64_t tile = round_up((side + parts - 1) / parts, unit);
    if (tile != last) sides.push_back(last = tile);
  }
  return sides;
}

Tiling plan_tiles(const std::vector<const Codec*>& codecs, int64_t height, int64_t width, int threads, uint64_t fixed,
                  uint64_t budget, bool keeps) {
  int64_t unit = 2, reach = 0;
  uint64_t aside = 0, before = 0;
  for (const Codec* codec : codecs) {
    unit = std::max(unit, 2 * codec->stride());
    reach = std::max({reach, codec->encoder_reach() * codec->stride(), codec->decoder_reach() * codec->stride()});
    const uint64_t bytes = keeps ? stored_bytes(*codec, height, width) : 0;
    aside = std::max(aside, checked_add(before, bytes));  // one level's are read while the next one's are written
    before = bytes;
  }
  Tiling best{};
  double least = 0;
  uint64_t smallest = UINT64_MAX;
  for (const int64_t h : tile_sides(height, unit))
    for (const int64_t w : tile_sides(width, unit)) {
      Tiling tiling{h, w, false, 0};
      const uint64_t bytes = checked_add(fixed, tile_bytes(codecs, height, width, threads, keeps, tiling));
      smallest = std::min(smallest, bytes);
      for (const bool in_memory : {true, false}) {
        tiling.in_memory = in_memory;
        tiling.bytes = in_memory ? checked_add(bytes, aside) : bytes;
        const double work = overlap(height, h, reach) * overlap(width, w, reach) * (in_memory ? 1 : kFileCost);
        if (tiling.bytes > budget || (least > 0 && work >= least)) continue;
        best = tiling, least = work;
      }
    }
  if (least == 0) refuse_budget(height, width, smallest, budget);
  return best;
}

TiledFeatures::TiledFeatures(const Codec& codec, Workspaces& workspaces, const RowIO& io, const Tiling& tiling,
                             const std::string& folder, bool keeps, OnTile on_tile)
    : codec_(codec),
      workspaces_(workspaces),
      io_(io),
      on_tile_(std::move(on_tile)),
      keeps_pixels_(keeps_pixels(codec)),
      stride_(codec.stride()),
      rows_(codec.features_along(io.height)),
      columns_(codec.features_along(io.width)),
      feature_bytes_(map_stride(codec.channels())),
      tile_rows_(codec.features_along(tiling.height)),
      tile_columns_(codec.features_along(tiling.width)) {
  const uint64_t aside = stored_bytes(codec, io.height, io.width);
  if (keeps) storage_ = std::make_unique<TemporaryStorage>(aside, tiling.in_memory ? "" : folder);
  const int64_t band = std::min(io.height, (tile_rows_ + 2 * codec.encoder_reach()) * stride_);
  band_ = Buffer(checked_multiply(uint64_t(band), uint64_t(io.width) * 3));
}

TiledFeatures::Part TiledFeatures::grown(const Part& part, int64_t reach) const {
  const int64_t top = std::max<int64_t>(part.top - reach, 0), left = std::max<int64_t>(part.left - reach, 0);
  const int64_t bottom = std::min(part.top + part.height + reach, rows_);
  const int64_t right = std::min(part.left + part.width + reach, columns_);
  return {top, left, bottom - top, right - left};
}

int64_t TiledFeatures::pixel_rows(const Part& part) const {
  return std::min((part.top + part.height) * stride_, io_.height) - part.top * stride_;
}

int64_t TiledFeatures::pixel_columns(const Part& part) const {
  return std::min((part.left + part.width) * stride_, io_.width) - part.left * stride_;
}

void TiledFeatures::read() {
  int64_t first = 0, count = 0;
  for (uint8_t* rows = next_rows(count); count > 0; rows = next_rows(count)) {
    io_.read(first, count, rows);
    have_rows(count);
    first += count;
  }
}

void TiledFeatures::take(const uint8_t* rows, int64_t count) {
  const int64_t row = io_.width * 3;
  for (int64_t room = 0; count > 0;) {
    uint8_t* to = next_rows(room);
    const int64_t some = std::min(room, count);
    std::memcpy(to, rows, size_t(some * row));
    have_rows(some);
    rows += some * row, count -= some;
  }
}

uint8_t* TiledFeatures::next_rows(int64_t& count) {
  if (next_ >= rows_) {
    count = 0;
    return nullptr;
  }
  const Part band = grown({next_, 0, std::min(tile_rows_, rows_ - next_), columns_}, codec_.encoder_reach());
  count = band.top * stride_ + pixel_rows(band) - end_;
  return band_.data() + (end_ - top_) * io_.width * 3;
}

void TiledFeatures::have_rows(int64_t count) {
  const int64_t row = io_.width * 3;
  if (storage_ && keeps_pixels_)
    storage_->write(uint64_t(end_ * row), band_.data() + (end_ - top_) * row, uint64_t(count * row));
  end_ += count;
  int64_t missing = 0;
  for (next_rows(missing); missing == 0 && next_ < rows_; next_rows(missing)) {
    encode_band();
    next_ += tile_rows_;
    // What the next tiles overlap with these moves to the front.
    const int64_t top = std::min(std::max<int64_t>((next_ - codec_.encoder_reach()) * stride_, 0), end_);
    std::memmove(band_.data(), band_.data() + (top - top_) * row, size_t((end_ - top) * row));
    top_ = top;
  }
}

void TiledFeatures::encode_band() {
  const PictureView band(band_.data(), end_ - top_, io_.width);
  for (int64_t left = 0; left < columns_; left += tile_columns_) {
    const Part part{next_, left, std::min(tile_rows_, rows_ - next_), std::min(tile_columns_, columns_ - left)};
    const Part outer = grown(part, codec_.encoder_reach());
    const PictureView window(band, outer.top * stride_ - top_, outer.left * stride_, pixel_rows(outer), pixel_columns(outer));
    const Encoded encoded = codec_.encode(window, io_.threads, workspaces_);
    const FeatureView tile(FeatureView(encoded.map), part.top - outer.top, part.left - outer.left, part.height, part.width);
    on_tile_(tile, {part.top, part.left});
    if (storage_ && !keeps_pixels_) keep(tile, part);
  }
}

void TiledFeatures::keep(const FeatureView& tile, const Part& part) {
  for (int64_t y = 0; y < tile.height; y++)
    storage_->write(uint64_t(((part.top + y) * columns_ + part.left) * feature_bytes_), tile.row(y),
                    uint64_t(tile.width * feature_bytes_));
}

Encoded TiledFeatures::kept(const Part& part) const {
  Encoded features;
  features.height = pixel_rows(part), features.width = pixel_columns(part), features.channels = codec_.channels();
  features.memory = Buffer(map_bytes(part.height, part.width, feature_bytes_));
  features.map = Map::in(features.memory, part.height, part.width, feature_bytes_);
  for (int64_t y = 0; y < part.height; y++)
    storage_->read(uint64_t(((part.top + y) * columns_ + part.left) * feature_bytes_), features.map.row(y),
                   uint64_t(part.width * feature_bytes_));
  return features;
}

Encoded TiledFeatures::encoded_again(const Part& part) const {
  const Part outer = grown(part, codec_.encoder_reach());
  Buffer pixels(uint64_t(outer.height * outer.width * 3));
  for (int64_t y = 0; y < outer.height; y++)
    storage_->read(uint64_t(((outer.top + y) * columns_ + outer.left) * 3), pixels.data() + y * outer.width * 3,
                   uint64_t(outer.width * 3));
  const Encoded encoded = codec_.encode({pixels.data(), outer.height, outer.width}, io_.threads, workspaces_);
  Encoded features;
  features.height = part.height, features.width = part.width, features.channels = codec_.channels();
  features.memory = Buffer(map_bytes(part.height, part.width, feature_bytes_));
  features.map = Map::in(features.memory, part.height, part.width, feature_bytes_);
  for (int64_t y = 0; y < part.height; y++)
    std::memcpy(features.map.row(y), encoded.map.row(part.top - outer.top + y) + (part.left - outer.left) * feature_bytes_,
                size_t(part.width * feature_bytes_));
  return features;
}

void TiledFeatures::decode(const Codec::RowTransform& transform, const Write& write) {
  band_ = Buffer();
  const int64_t row = io_.width * 3;
  Buffer out(checked_multiply(uint64_t(std::min(tile_rows_ * stride_, io_.height)), uint64_t(row)));
  Buffer pixels;
  for (int64_t top = 0; top < rows_; top += tile_rows_) {
    const Part band{top, 0, std::min(tile_rows_, rows_ - top), columns_};
    for (int64_t left = 0; left < columns_; left += tile_columns_) {
      const Part part{top, left, band.height, std::min(tile_columns_, columns_ - left)};
      const Part outer = grown(part, codec_.decoder_reach());
      const Encoded features = keeps_pixels_ ? encoded_again(outer) : kept(outer);
      pixels.reserve(size_t(features.height * features.width * 3));
      codec_.decode(features, transform, pixels.data(), io_.threads, workspaces_, {outer.top, outer.left});
      const PictureView whole(pixels.data(), features.height, features.width);
      const PictureView tile(whole, (part.top - outer.top) * stride_, (part.left - outer.left) * stride_, pixel_rows(part),
                             pixel_columns(part));
      for (int64_t y = 0; y < tile.height; y++)
        std::memcpy(out.data() + y * row + left * stride_ * 3, tile.row(y), size_t(tile.width) * 3);
    }
    write(out.data(), pixel_rows(band));
  }
}

}  // namespace fastnst
