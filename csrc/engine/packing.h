// A convolution's numbers in the order in which kernels read them.
#pragma once

#include <cstdint>
#include <vector>

#include "base/buffer.h"
#include "engine/kernels/kernels.h"
#include "engine/model.h"
#include "engine/short_sums.h"

namespace fastnst {

class PackedWeights {
 public:
  // Weights of 0 for `rows` runs of at least `bytes` bytes and so many `lanes`, a multiple of 16.
  PackedWeights(int rows, int bytes, int lanes);

  int lanes() const { return blocks_ * kLanes; }
  // The weights with which an output lane counts `count` bytes of a run, from byte `first` on.
  void set_weights(int lane, int row, int first, const int8_t* weights, int count);
  void set_output(int lane, int32_t bias, float multiplier) { bias_[lane] = bias, multiplier_[lane] = multiplier; }

  // Arranges the weights as this machine's kernels read them; all are set. `small`: inputs up to kSmall are worth weights of
  // their own.
  void finish(bool small);

  // Fills in what a row takes from here, once finished.
  void put(ConvRow& row) const;

 private:
  int rows_, steps_, blocks_;
  ShortSums shorts_, small_;  // what weights_ became, for kernels that have short sums
  Buffer weights_;            // aligned: vectors that straddle cache lines cost twice
  std::vector<int32_t> bias_;
  std::vector<float> multiplier_;
};

// A 3x3 layer that writes a picture, for paths that have a kernel of its own for that.
class PackedPicture {
 public:
  // Whether this machine's path has it, for a source of so many bytes a pixel.
  static bool possible(int64_t channels) { return has_picture_rows() && picture_channels(channels); }

  PackedPicture(const Layer& layer, int64_t channels);

  // Fills in what a row takes from here.
  void put(PictureRow& row) const;

 private:
  int64_t channels_;
  Buffer weights_;
  std::vector<int32_t> bias_;
  std::vector<float> multiplier_;
};

}  // namespace fastnst
