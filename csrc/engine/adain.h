// Stylization with an AdaIN pair: encode, exchange channel statistics, decode.
#pragma once

#include "engine/engine.h"

namespace fastnst {

class ChannelSums;

class AdainEngine final : public Engine {
 public:
  // `model`: of Kind::adain.
  explicit AdainEngine(const Model& model);

  // As Codec::encode. With q the map's bytes over n positions, S1 = sum q and S2 = sum q^2 exactly, and f the feature scale,
  // the statistics are in float64 and in this order:
  //   mean   = (f * S1) / n
  //   spread = sqrt((f * f) * ((n * S2 - S1^2) / (n * max(n - u, u))) + 1e-5)
  // where u = 1. Those of a region: n, S1 and S2 are sums of the shares of its cells, of these times q and q^2, and u = kFull.
  Features encode(const uint8_t* picture, int64_t height, int64_t width, const Levels& levels, int threads) const override;
  Look look(const uint8_t* picture, int64_t height, int64_t width, const Levels& levels, int threads) const override;

  // The picture of features blended `alpha` of the way to `style`:
  //   slope  = alpha * (style.spread / spread) + (1 - alpha)
  //   offset = alpha * (style.mean - mean * (style.spread / spread))
  // in float64, applied per channel as a * q + b with, in float32,
  //   a = slope * f / decoder_scale,  b = offset / decoder_scale + decoder_zero.
  // With regions, the bytes that come of each are blended: see Blend.
  // Throws std::invalid_argument if a statistic is not finite, their number is wrong, or the features are of another model
  // whose maps are smaller than this decoder needs.
  void decode(const Features& features, const Painting& painting, uint8_t* picture, int threads) const override;

  Tiling tiling(int64_t height, int64_t width, const Levels& levels, int threads, uint64_t budget, bool decodes) const override;
  Look look(const RowIO& style, const Levels& levels, const Tiling& tiling) const override;
  void stylize(const RowIO& content, const Levels& levels, const Painting& painting, const Tiling& tiling,
               const std::string& folder) const override;

  uint64_t working_bytes(int64_t height, int64_t width, const Levels& levels, int threads) const override;
  std::vector<LayerTime> layer_times(int64_t height, int64_t width, int threads, int repeats) const override {
    return codec_.layer_times(height, width, threads, repeats);
  }

 private:
  // What a style's look holds, if it is of an AdaIN model.
  const Statistics& of_style(const Look& look, const char* wanted) const;
  Codec::RowTransform blend(const Statistics& content, const Statistics& style, double alpha) const;
  // The same for a painting, of its sums; `grid`: of its regions, if it has any.
  Codec::RowTransform blend(const ChannelSums& sums, const Painting& painting, const RegionGrid* grid,
                            const char* wanted) const;

  double feature_scale_, decoder_scale_, decoder_zero_;  // the same for all channels
  Codec codec_;
  mutable Workspaces workspaces_;
};

}  // namespace fastnst
