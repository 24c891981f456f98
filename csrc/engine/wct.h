// Stylization by whitening and colouring (Li et al., NeurIPS 2017), at one level or at several from the deepest to the first.
#pragma once

#include <optional>

#include "engine/engine.h"

namespace fastnst {

class MomentSums;

class WctEngine final : public Engine {
 public:
  // `model`: of Kind::wct.
  explicit WctEngine(const Model& model);

  // As Codec::encode, by the deepest of `levels`. With q the map's bytes over n positions, f the feature scales, S1 = sum q and
  // S2 = sum q q^T exactly, the statistics are in float64 and in this order:
  //   mean_i = (f_i * S1_i) / n
  //   spread_ij = (f_i * f_j) * ((n * S2_ij - S1_i * S1_j) / (n * max(n - u, u)))
  // where u = 1. Those of a region: n, S1 and S2 are sums of the shares of its cells, of these times q and q q^T, and u =
  // kFull. Throws std::invalid_argument if there are no levels, one twice, or one that the model has not.
  Features encode(const uint8_t* picture, int64_t height, int64_t width, const Levels& levels, int threads) const override;

  // What each of `levels` takes from a picture. The root leaves out directions as decode() does.
  Look look(const uint8_t* picture, int64_t height, int64_t width, const Levels& levels, int threads) const override;

  // The picture, as large as the one encoded, that the levels of `features` make, each of what the one before it made, in 8
  // bits (published code hands on what is beyond white and black). Level by level, with x the features, mu their mean and C
  // their covariance,
  //   y = T (x - mu) + alpha * style.mean + (1 - alpha) * mu,  T = alpha * style.spread * C^(-1/2) + (1 - alpha) * I,
  // where C^(-1/2) leaves out the directions whose variance is below 1e-5 or not above that of rounding x to 8 bits. T is
  // rounded to 16 bits with a scale per row, and everything after it is exact or a single float32 operation: see MixRow. With
  // regions, the bytes that come of each are blended at every level: see Blend.
  // Throws std::invalid_argument if a number is not finite, a level is missing in `style`, or something is of another model.
  void decode(const Features& features, const Painting& painting, uint8_t* picture, int threads) const override;

  // In tiles, each level's picture is written while the next one's is encoded.
  Tiling tiling(int64_t height, int64_t width, const Levels& levels, int threads, uint64_t budget, bool decodes) const override;
  Look look(const RowIO& style, const Levels& levels, const Tiling& tiling) const override;
  void stylize(const RowIO& content, const Levels& levels, const Painting& painting, const Tiling& tiling,
               const std::string& folder) const override;

  uint64_t working_bytes(int64_t height, int64_t width, const Levels& levels, int threads) const override;

 private:
  struct Level {
    int number;
    Codec codec;
    std::vector<double> feature_scale, decoder_scale, decoder_zero;
  };
  // The levels of these numbers, the deepest first.
  std::vector<const Level*> choose(const Levels& levels) const;
  // What each of them takes from a style, checked.
  std::vector<const Statistics*> match(const std::vector<const Level*>& levels, const Look& style, const char* wanted) const;
  // The same for each part of a painting, none for what is not painted: [parts][levels].
  using Targets = std::vector<std::vector<const Statistics*>>;
  Targets match(const std::vector<const Level*>& levels, const Painting& painting, const char* wanted) const;
  static LevelLook look_of(const Level& level, const Statistics& statistics, int threads);
  Features encode_at(const Level& level, const uint8_t* picture, int64_t height, int64_t width, int threads) const;
  // The grid of a painting's regions at a level, if it has any.
  static std::optional<RegionGrid> grid_at(const Level& level, const Painting& painting, int64_t height, int64_t width);
  Codec::RowTransform mix(const Level& level, const Statistics& content, const Statistics& style, double alpha,
                          int threads) const;
  // The same at `chosen`th level for a painting, of its sums.
  Codec::RowTransform mix(const Level& level, const MomentSums& sums, const Painting& painting, const RegionGrid* grid,
                          const Targets& targets, size_t chosen, int threads) const;

  std::vector<Level> stages_;
  mutable Workspaces workspaces_;
};

}  // namespace fastnst
