// Stylization with an AdaIN pair: encode, exchange channel statistics, decode.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "engine/codec.h"
#include "engine/tiles.h"

namespace fastnst {

// Channel statistics in real units: what AdaIN takes from a style.
struct Look {
  std::vector<double> mean, std;
};

// A picture's features and their statistics.
struct Features : Encoded {
  Look look;
};

// A model ready to run, from any number of threads at once.
class AdainEngine {
 public:
  // `model`: of Kind::adain.
  explicit AdainEngine(const Model& model);

  const std::string& card() const { return card_; }
  int channels() const { return codec_.channels(); }

  // As Codec::encode. With q the map's bytes over n positions, S1 = sum q and S2 = sum q^2 exactly, and f the feature scale,
  // the statistics are in float64 and in this order:
  //   mean = (f * S1) / n
  //   std  = sqrt((f * f) * ((n * S2 - S1^2) / (n * max(n - 1, 1))) + 1e-5)
  Features encode(const uint8_t* picture, int64_t height, int64_t width, int threads) const;

  // The picture, as large as the one encoded, of features blended `alpha` of the way to `style`:
  //   slope  = alpha * (style.std / std) + (1 - alpha)
  //   offset = alpha * (style.mean - mean * (style.std / std))
  // in float64, applied per channel as a * q + b with, in float32,
  //   a = slope * f / decoder_scale,  b = offset / decoder_scale + decoder_zero.
  // Throws std::invalid_argument if a statistic is not finite, their number is wrong, or the features are of another model
  // whose maps are smaller than this decoder needs.
  void decode(const Features& features, const Look& style, double alpha, uint8_t* picture, int threads) const;

  // How long each layer takes; see Codec.
  std::vector<LayerTime> layer_times(int64_t height, int64_t width, int threads, int repeats) const {
    return codec_.layer_times(height, width, threads, repeats);
  }
  // The same in tiles, with the same bytes: the look of a style, and the picture of a content. `folder`: see Spool.
  Tiling tiling(int64_t height, int64_t width, int threads, uint64_t budget, bool decodes) const;
  Look look(const Passage& style, const Tiling& tiling) const;
  void stylize(const Passage& content, const Look& style, double alpha, const Tiling& tiling, const std::string& folder) const;

  // Bytes of working memory that stylizing a picture of this size takes: maps, scratch and the features kept between.
  uint64_t working_bytes(int64_t height, int64_t width, int threads) const;

 private:
  Codec::RowTransform blend(const Look& content, const Look& style, double alpha) const;

  std::string card_;
  double feature_scale_, decoder_scale_, decoder_zero_;  // the same for all channels
  Codec codec_;
  mutable Workspaces workspaces_;
};

}  // namespace fastnst
