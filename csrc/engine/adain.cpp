#include "engine/adain.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <utility>

#include "base/checked.h"
#include "base/parallel.h"

namespace fastnst {
namespace {

constexpr double kEpsilon = 1e-5;  // added to variances, as in the published networks

}  // namespace

// The exact sums behind the statistics of a map that is seen in parts: of all of it, or with a grid, of each part of that.
class ChannelSums {
 public:
  ChannelSums(int channels, const RegionGrid* grid)
      : grid_(grid), channels_(channels), unit_(grid == nullptr ? 1 : kFull), sums_(grid == nullptr ? 1 : grid->parts()) {
    for (Sums& sums : sums_) sums.first.resize(size_t(map_stride(channels))), sums.squares.resize(sums.first.size());
  }

  // `first`: the place of the map's first pixel.
  void add(const FeatureView& map, Place first, int threads) {
    const size_t all = sums_.size() - 1;
    std::vector<uint16_t> weights;
    if (all > 0) weights = grid_->shares(first.y, first.x, map.height, map.width, threads);
    std::mutex mutex;
    parallel_for(map.height, 16, threads, [&](int, int64_t begin, int64_t end) {
      for (size_t part = 0; part <= all; part++)
        for (int64_t block = 0; block < map.stride; block += kLanes) {
          uint64_t count = 0, own[2][kLanes] = {};
          for (int64_t y = begin; y < end; y++) {
            const uint8_t* row = map.row(y) + block;
            if (part < all) {
              const uint16_t* by = weights.data() + (y * int64_t(all + 1) + int64_t(part)) * map.width;
              count += weigh_cells(row, by, map.width, map.stride, own[0], own[1]);
            } else {
              kernels().sum_row(row, map.width, map.stride, own[0], own[1]);
              count += uint64_t(map.width);
            }
          }
          const std::lock_guard<std::mutex> lock(mutex);
          if (block == 0) sums_[part].count += count;
          for (size_t c = 0; c < kLanes; c++) {
            sums_[part].first[size_t(block) + c] += own[0][c];
            sums_[part].squares[size_t(block) + c] += own[1][c];
          }
        }
    });
  }

  uint64_t weight(size_t part) const { return of_part(part).count; }

  Statistics statistics(size_t part, double scale) const {
    const Sums sums = of_part(part);
    const double count = double(sums.count), pairs = count * double(std::max(sums.count - std::min(sums.count, unit_), unit_));
    Statistics found;
    for (size_t c = 0; c < size_t(channels_); c++) {
      const Exact spread = Exact(sums.count) * sums.squares[c] - Exact(sums.first[c]) * sums.first[c];
      const double variance = (scale * scale) * (double(spread) / pairs);
      found.mean.push_back((scale * double(sums.first[c])) / count);
      found.spread.push_back(std::sqrt(variance + kEpsilon));
    }
    return found;
  }

 private:
  using Exact = unsigned __int128;
  struct Sums {
    uint64_t count = 0;  // at most 2^48 pixels, of kFull each
    std::vector<uint64_t> first;
    std::vector<Exact> squares;
  };

  // The rest has what the masks leave of all.
  Sums of_part(size_t part) const {
    Sums sums = sums_[part];
    if (part + 1 < sums_.size()) return sums;
    sums.count *= unit_;
    for (size_t c = 0; c < sums.first.size(); c++) sums.first[c] *= unit_, sums.squares[c] *= unit_;
    for (size_t mask = 0; mask < part; mask++) {
      sums.count -= sums_[mask].count;
      for (size_t c = 0; c < sums.first.size(); c++)
        sums.first[c] -= sums_[mask].first[c], sums.squares[c] -= sums_[mask].squares[c];
    }
    return sums;
  }

  const RegionGrid* grid_;
  int channels_;
  uint64_t unit_;           // the weight of a pixel
  std::vector<Sums> sums_;  // of the masks, times their weights, and of all pixels
};

AdainEngine::AdainEngine(const Model& model)
    : Engine(model),
      feature_scale_(model.stages.front().feature_scale.front()),
      decoder_scale_(model.stages.front().decoder_scale.front()),
      decoder_zero_(model.stages.front().decoder_zero.front()),
      codec_(model.stages.front()) {}

Features AdainEngine::encode(const uint8_t* picture, int64_t height, int64_t width, const Levels& levels, int threads) const {
  chosen(levels);
  Features features{codec_.encode({picture, height, width}, threads, workspaces_), {}, {}};
  ChannelSums sums(codec_.channels(), nullptr);
  sums.add(FeatureView(features.map), {}, threads);
  features.statistics = sums.statistics(0, feature_scale_);
  return features;
}

Look AdainEngine::look(const uint8_t* picture, int64_t height, int64_t width, const Levels& levels, int threads) const {
  return {{0, encode(picture, height, width, levels, threads).statistics}};
}

const Statistics& AdainEngine::of_style(const Look& look, const char* wanted) const {
  if (look.size() != 1 || look.front().level != 0) refuse_others(wanted);
  return look.front().statistics;
}

Codec::RowTransform AdainEngine::blend(const Statistics& content, const Statistics& style, double alpha) const {
  const int count = codec_.channels();
  if (int(style.mean.size()) != count || int(style.spread.size()) != count || int(content.spread.size()) != count)
    throw std::invalid_argument("statistics of another model: this one has " + std::to_string(count) + " channels");
  const int64_t stride = map_stride(count);
  std::vector<float> slope(stride), offset(stride);
  for (int c = 0; c < count; c++) {
    const double gain = style.spread[c] / content.spread[c];
    const double a = alpha * gain + (1 - alpha), b = alpha * (style.mean[c] - content.mean[c] * gain);
    slope[c] = float(a * feature_scale_ / decoder_scale_);
    offset[c] = float(b / decoder_scale_ + decoder_zero_);
    if (!std::isfinite(slope[c]) || !std::isfinite(offset[c])) throw std::invalid_argument("statistics that are not finite");
  }
  return [slope, offset, stride](const uint8_t* from, uint8_t* to, int64_t pixels, Place) {
    kernels().affine_row(from, slope.data(), offset.data(), to, pixels, stride);
  };
}

Codec::RowTransform AdainEngine::blend(const ChannelSums& sums, const Painting& painting, const RegionGrid* grid,
                                       const char* wanted) const {
  if (grid == nullptr) return blend(sums.statistics(0, feature_scale_), of_style(painting.style, wanted), painting.alpha);
  std::vector<Codec::RowTransform> parts(grid->parts() + 1);
  for (size_t part = 0; part < grid->parts(); part++)
    if (painting.paints(part, sums.weight(part)))
      parts[part] = blend(sums.statistics(part, feature_scale_), of_style(painting.of_part(part), wanted), painting.alpha);
  const std::vector<double> any(size_t(codec_.channels()), 1);
  parts.back() = blend({any, any}, {any, any}, 0);
  return blended(*grid, std::move(parts), map_stride(codec_.channels()));
}

void AdainEngine::decode(const Features& features, const Painting& painting, uint8_t* picture, int threads) const {
  constexpr const char* kWanted = "features and looks";
  if (!features.levels.empty()) refuse_others(kWanted);
  if (painting.regions == nullptr) {
    codec_.decode(features, blend(features.statistics, of_style(painting.style, kWanted), painting.alpha), picture, threads,
                  workspaces_);
    return;
  }
  const RegionGrid grid(*painting.regions, features.height, features.width, codec_.stride());
  ChannelSums sums(codec_.channels(), &grid);
  sums.add(FeatureView(features.map), {}, threads);
  codec_.decode(features, blend(sums, painting, &grid, kWanted), picture, threads, workspaces_);
}

Tiling AdainEngine::tiling(int64_t height, int64_t width, const Levels& levels, int threads, uint64_t budget,
                           bool decodes) const {
  chosen(levels);
  return plan_tiles({&codec_}, height, width, threads, 0, budget, decodes);
}

Look AdainEngine::look(const RowIO& style, const Levels& levels, const Tiling& tiling) const {
  chosen(levels);
  ChannelSums sums(codec_.channels(), nullptr);
  TiledFeatures features(codec_, workspaces_, style, tiling, "", false,
                         [&](const FeatureView& tile, Place first) { sums.add(tile, first, style.threads); });
  features.read();
  return {{0, sums.statistics(0, feature_scale_)}};
}

void AdainEngine::stylize(const RowIO& content, const Levels& levels, const Painting& painting, const Tiling& tiling,
                          const std::string& folder) const {
  chosen(levels);
  for (const Look& look : painting.looks) of_style(look, "looks");
  if (painting.regions == nullptr || painting.regions->paints_rest) of_style(painting.style, "looks");
  std::optional<RegionGrid> grid;
  if (painting.regions != nullptr) grid.emplace(*painting.regions, content.height, content.width, codec_.stride());
  ChannelSums sums(codec_.channels(), grid ? &*grid : nullptr);
  Progress progress(content, 2);
  const int64_t all = codec_.features_along(content.height) * codec_.features_along(content.width);
  TiledFeatures features(codec_, workspaces_, content, tiling, folder, true, [&](const FeatureView& tile, Place first) {
    sums.add(tile, first, content.threads);
    progress.add(tile.height * tile.width, all);
  });
  features.read();
  features.decode(blend(sums, painting, grid ? &*grid : nullptr, "looks"), [&](const uint8_t* rows, int64_t count) {
    content.write(rows, count);
    progress.add(count, content.height);
  });
}

uint64_t AdainEngine::working_bytes(int64_t height, int64_t width, const Levels& levels, int threads) const {
  chosen(levels);
  const Codec::Needs needs = codec_.needs(height, width, threads);
  return checked_add(checked_add(needs.features, needs.scratch), checked_add(needs.slots[0], needs.slots[1]));
}

}  // namespace fastnst
