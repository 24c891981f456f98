#include "engine/adain.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <mutex>
#include <stdexcept>

#include "base/checked.h"
#include "base/parallel.h"

namespace fastnst {
namespace {

constexpr double kEpsilon = 1e-5;  // added to variances, as in the published networks

// The exact sums behind the statistics of a map that is seen in parts.
class ChannelSums {
 public:
  explicit ChannelSums(int channels) : channels_(channels), sums_(map_stride(channels)), squares_(map_stride(channels)) {}

  void add(const FeatureView& map, int threads) {
    std::mutex mutex;
    parallel_for(map.height, 16, threads, [&](int, int64_t begin, int64_t end) {
      uint64_t own[2][kLanes];
      for (int64_t first = 0; first < map.stride; first += kLanes) {
        std::memset(own, 0, sizeof own);
        for (int64_t y = begin; y < end; y++) kernels().sum_row(map.row(y) + first, map.width, map.stride, own[0], own[1]);
        const std::lock_guard<std::mutex> lock(mutex);
        for (int c = 0; c < kLanes; c++) sums_[first + c] += own[0][c], squares_[first + c] += own[1][c];
      }
    });
    count_ += uint64_t(map.height) * uint64_t(map.width);
  }

  Statistics statistics(double scale) const {
    using Exact = unsigned __int128;
    const double count = double(count_), pairs = count * double(std::max<uint64_t>(count_ - 1, 1));
    Statistics found;
    for (int c = 0; c < channels_; c++) {
      const Exact spread = Exact(count_) * squares_[c] - Exact(sums_[c]) * sums_[c];
      const double variance = (scale * scale) * (double(spread) / pairs);
      found.mean.push_back((scale * double(sums_[c])) / count);
      found.spread.push_back(std::sqrt(variance + kEpsilon));
    }
    return found;
  }

 private:
  int channels_;
  uint64_t count_ = 0;
  std::vector<uint64_t> sums_, squares_;
};

}  // namespace

AdainEngine::AdainEngine(const Model& model)
    : Engine(model),
      feature_scale_(model.stages.front().feature_scale.front()),
      decoder_scale_(model.stages.front().decoder_scale.front()),
      decoder_zero_(model.stages.front().decoder_zero.front()),
      codec_(model.stages.front()) {}

Features AdainEngine::encode(const uint8_t* picture, int64_t height, int64_t width, const Levels& levels, int threads) const {
  chosen(levels);
  Features features{codec_.encode({picture, height, width}, threads, workspaces_), {}, {}};
  ChannelSums sums(codec_.channels());
  sums.add(FeatureView(features.map), threads);
  features.statistics = sums.statistics(feature_scale_);
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
  return [slope, offset, stride](const uint8_t* from, uint8_t* to, int64_t pixels) {
    kernels().affine_row(from, slope.data(), offset.data(), to, pixels, stride);
  };
}

void AdainEngine::decode(const Features& features, const Look& style, double alpha, uint8_t* picture, int threads) const {
  constexpr const char* kWanted = "features and looks";
  if (!features.levels.empty()) refuse_others(kWanted);
  codec_.decode(features, blend(features.statistics, of_style(style, kWanted), alpha), picture, threads, workspaces_);
}

Tiling AdainEngine::tiling(int64_t height, int64_t width, const Levels& levels, int threads, uint64_t budget,
                           bool decodes) const {
  chosen(levels);
  return plan_tiles({&codec_}, height, width, threads, 0, budget, decodes);
}

Look AdainEngine::look(const RowIO& style, const Levels& levels, const Tiling& tiling) const {
  chosen(levels);
  ChannelSums sums(codec_.channels());
  TiledFeatures features(codec_, workspaces_, style, tiling, "", false,
                         [&](const FeatureView& tile) { sums.add(tile, style.threads); });
  features.read();
  return {{0, sums.statistics(feature_scale_)}};
}

void AdainEngine::stylize(const RowIO& content, const Levels& levels, const Look& style, double alpha, const Tiling& tiling,
                          const std::string& folder) const {
  chosen(levels);
  const Statistics& target = of_style(style, "looks");
  ChannelSums sums(codec_.channels());
  Progress progress(content, 2);
  const int64_t all = codec_.features_along(content.height) * codec_.features_along(content.width);
  TiledFeatures features(codec_, workspaces_, content, tiling, folder, true, [&](const FeatureView& tile) {
    sums.add(tile, content.threads);
    progress.add(tile.height * tile.width, all);
  });
  features.read();
  features.decode(blend(sums.statistics(feature_scale_), target, alpha), [&](const uint8_t* rows, int64_t count) {
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
