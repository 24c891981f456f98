// Stylization by whitening and colouring (Li et al., NeurIPS 2017), at one level or at several from the deepest to the first.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "engine/codec.h"
#include "engine/tiles.h"

namespace fastnst {

// Mean [C] and covariance [C][C] of features in real units.
struct Moments {
  std::vector<double> mean, covariance;
};

// What one level takes from a style: mean [C], and symmetric square root [C][C] of the covariance.
struct Coloring {
  int level = 0;
  std::vector<double> mean, root;
};

// The features of a picture at the deepest of some levels, and the levels themselves, deepest first.
struct WctFeatures : Encoded {
  std::vector<int> levels;
  Moments moments;
};

// A model ready to run, from any number of threads at once. Levels are the stages' numbers, given in any order.
class WctEngine {
 public:
  // `model`: of Kind::wct.
  explicit WctEngine(const Model& model);

  const std::string& card() const { return card_; }
  const std::vector<int>& levels() const { return levels_; }

  // As Codec::encode, by the deepest of `levels`. With q the map's bytes over n positions, f the feature scales, S1 = sum q and
  // S2 = sum q q^T exactly, the moments are in float64 and in this order:
  //   mean_i = (f_i * S1_i) / n
  //   cov_ij = (f_i * f_j) * ((n * S2_ij - S1_i * S1_j) / (n * max(n - 1, 1)))
  // Throws std::invalid_argument if there are no levels, one twice, or one that the model has not.
  WctFeatures encode(const uint8_t* picture, int64_t height, int64_t width, const std::vector<int>& levels, int threads) const;

  // What each of `levels` takes from a picture. The root leaves out directions as decode() does.
  std::vector<Coloring> look(const uint8_t* picture, int64_t height, int64_t width, const std::vector<int>& levels,
                             int threads) const;

  // The picture, as large as the one encoded, that the levels of `features` make, each of what the one before it made, in 8
  // bits (published code hands on what is beyond white and black). Level by level, with x the features and mu, C their moments,
  //   y = T (x - mu) + alpha * style.mean + (1 - alpha) * mu,  T = alpha * style.root * C^(-1/2) + (1 - alpha) * I,
  // where C^(-1/2) leaves out the directions whose variance is below 1e-5 or not above that of rounding x to 8 bits. T is
  // rounded to 16 bits with a scale per row, and everything after it is exact or a single float32 operation: see MixRow.
  // Throws std::invalid_argument if a number is not finite, a level is missing in `style`, or something is of another model.
  void decode(const WctFeatures& features, const std::vector<Coloring>& style, double alpha, uint8_t* picture,
              int threads) const;

  // The same in tiles, with the same bytes: the look of a style, read once for each level, and the picture of a content, each
  // level's written while the next one's is encoded. `folder`: see Spool.
  Tiling tiling(int64_t height, int64_t width, const std::vector<int>& levels, int threads, uint64_t budget,
                bool decodes) const;
  std::vector<Coloring> look(const Passage& style, const std::vector<int>& levels, const Tiling& tiling) const;
  void stylize(const Passage& content, const std::vector<int>& levels, const std::vector<Coloring>& style, double alpha,
               const Tiling& tiling, const std::string& folder) const;

  // Bytes of working memory that stylizing a picture of this size takes: maps, scratch, features, matrices.
  uint64_t working_bytes(int64_t height, int64_t width, const std::vector<int>& levels, int threads) const;

 private:
  struct Level {
    int number;
    Codec codec;
    std::vector<double> feature_scale, decoder_scale, decoder_zero;
  };
  // The levels of these numbers, the deepest first.
  std::vector<const Level*> choose(const std::vector<int>& numbers) const;
  // What each of them takes from a style, checked.
  std::vector<const Coloring*> match(const std::vector<const Level*>& levels, const std::vector<Coloring>& style) const;
  WctFeatures encode_at(const Level& level, const uint8_t* picture, int64_t height, int64_t width, int threads) const;
  Codec::RowTransform mix(const Level& level, const Moments& content, const Coloring& style, double alpha, int threads) const;

  std::string card_;
  std::vector<int> levels_;
  std::vector<Level> stages_;
  mutable Workspaces workspaces_;
};

}  // namespace fastnst
