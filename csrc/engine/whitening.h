// The numbers of one level of whitening and colouring: moments of a map, roots of covariances, and the convolution they make.
#pragma once

#include <cstdint>
#include <vector>

#include "engine/engine.h"
#include "engine/kernels/kernels.h"
#include "engine/network.h"

namespace fastnst {

// The exact sums behind the statistics of a map that is seen in parts: of all of it, or with a grid, of each part of that.
class MomentSums {
 public:
  MomentSums(int channels, const RegionGrid* grid);
  // `first`: the place of the map's first pixel.
  void add(const FeatureView& map, Place first, int threads);
  // The sum of the shares of a part.
  uint64_t weight(size_t part) const { return parts_[part].count; }
  // See WctEngine::encode for the arithmetic. `scale`: the real value of one step, for each channel.
  Statistics statistics(size_t part, const std::vector<double>& scale) const;

 private:
  using Exact = unsigned __int128;
  struct Sums {
    uint64_t count = 0;
    std::vector<uint64_t> first;  // [C], rounded up to 16
    std::vector<Exact> products;  // [C][C]
  };

  const RegionGrid* grid_;
  uint64_t unit_;  // the weight of a pixel
  std::vector<Sums> parts_;
};

// C^(1/2) and C^(-1/2), without the directions that WctEngine::decode leaves out. `scale`: the steps that rounded the features.
std::vector<double> coloring_root(const std::vector<double>& covariance, const std::vector<double>& scale, int threads);
std::vector<double> whitening_root(const std::vector<double>& covariance, const std::vector<double>& scale, int threads);

// A matrix and an offset in the form of MixRow, for maps of `stride` bytes a pixel.
struct Mixer {
  std::vector<int16_t> weights;
  std::vector<float> multiplier, offset;

  void run(const uint8_t* source, uint8_t* target, int64_t pixels) const;
};

// The steps on either side of a Mixer: its input means input_scale * q, its output output_scale * (q - output_zero).
struct Steps {
  const std::vector<double>&input_scale, &output_scale, &output_zero;
};

// y = matrix (x - centre) + target, on 8-bit maps. Throws std::invalid_argument if a number leaves float32.
Mixer make_mixer(const std::vector<double>& matrix, const std::vector<double>& centre, const std::vector<double>& target,
                 const Steps& steps);

}  // namespace fastnst
