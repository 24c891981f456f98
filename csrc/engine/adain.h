// Stylization with an AdaIN pair: encode, exchange channel statistics, decode.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "engine/network.h"

namespace fastnst {

// Channel statistics in real units: what AdaIN takes from a style.
struct Look {
  std::vector<double> mean, std;
};

// What the encoder makes of a picture.
struct Features {
  int64_t height = 0, width = 0;  // of the picture
  Map map;                        // encoder output, without border
  int channels = 0;
  Buffer memory;
  Look look;  // of the map
};

// A model ready to run, from any number of threads at once.
class AdainEngine {
 public:
  explicit AdainEngine(const Model& model);

  const std::string& card() const { return card_; }
  int channels() const { return channels_; }

  // `picture`: height x width x 3, of any size from 1 x 1. Sides that are not a multiple of what the encoder's pools divide
  // them by are extended by repeating the last row and column. With q the map's bytes over n positions, S1 = sum q and
  // S2 = sum q^2 exactly, and f the feature scale, in float64 and in this order:
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

  // Bytes of working memory that stylizing a picture of this size takes: maps, scratch and the features kept between.
  uint64_t working_bytes(int64_t height, int64_t width, int threads) const;

 private:
  // Borrows a workspace that no other call is using, and gives it back.
  class Lease;
  int64_t extended(int64_t side) const;

  std::string card_;
  int channels_;
  int64_t stride_;  // what the encoder divides sides by
  double feature_scale_, decoder_scale_;
  int32_t decoder_zero_;
  Network encoder_, decoder_;
  mutable std::mutex mutex_;
  mutable std::vector<std::unique_ptr<Workspace>> idle_;
};

}  // namespace fastnst
