#include "engine/packing.h"

#include <algorithm>
#include <cstring>

#include "base/checked.h"

namespace fastnst {
namespace {

constexpr int64_t kVector = 64;  // bytes to a vector of a picture row's weights

}  // namespace

PackedWeights::PackedWeights(int rows, int bytes, int lanes)
    : rows_(rows),
      steps_((bytes + 3) / 4),
      blocks_(lanes / kLanes),
      weights_(checked_multiply(uint64_t(rows) * uint64_t(steps_) * 4, uint64_t(lanes))),
      bias_(lanes),
      multiplier_(lanes) {}

void PackedWeights::set_weights(int lane, int row, int first, const int8_t* weights, int count) {
  int block = 0;  // where the lane's group starts
  while (block + group_size(blocks_ - block) <= lane / kLanes) block += group_size(blocks_ - block);
  const size_t lanes = size_t(group_size(blocks_ - block)) * kLanes;
  int8_t* const group = reinterpret_cast<int8_t*>(weights_.data()) + size_t(block) * kLanes * 4 * rows_ * steps_;
  int8_t* const own = group + (size_t(row) * steps_ * lanes + (lane - block * kLanes)) * 4;
  const auto at = [&](int byte) { return own + byte / 4 * lanes * 4 + byte % 4; };
  int i = 0;
  for (; i < count && (first + i) % 4 != 0; i++) *at(first + i) = weights[i];
  for (; i + 4 <= count; i += 4) std::memcpy(at(first + i), weights + i, 4);
  for (; i < count; i++) *at(first + i) = weights[i];
}

void PackedWeights::finish(bool small) {
  if (!has_short_sums()) return;
  const int8_t* weights = reinterpret_cast<const int8_t*>(weights_.data());
  shorts_ = ShortSums(weights, rows_, steps_, blocks_, UINT8_MAX);
  if (small) small_ = ShortSums(weights, rows_, steps_, blocks_, kSmall);
  weights_ = Buffer();
}

void PackedWeights::put(ConvRow& row) const {
  row.rows = rows_, row.steps = steps_, row.blocks = blocks_, row.shorts = shorts_.blocks(), row.small = small_.blocks();
  row.weights = reinterpret_cast<const int8_t*>(weights_.data()), row.bias = bias_.data(), row.multiplier = multiplier_.data();
}

PackedPicture::PackedPicture(const Layer& layer, int64_t channels)
    : channels_(channels),
      weights_(checked_multiply(9 * 3, uint64_t(std::max(channels, kVector)))),
      bias_(layer.bias.begin(), layer.bias.end()),
      multiplier_(layer.multiplier.begin(), layer.multiplier.end()) {
  int8_t* at = reinterpret_cast<int8_t*>(weights_.data());
  for (int tap = 0; tap < 9; tap++)
    for (int64_t first = 0; first < channels; first += kVector)
      for (int output = 0; output < 3; output++, at += kVector)
        for (int64_t lane = 0; lane < kVector; lane++) {
          const int64_t input = first + lane % channels;
          if (input < layer.inputs) at[lane] = layer.weights[(size_t(output) * 9 + tap) * layer.inputs + input];
        }
}

void PackedPicture::put(PictureRow& row) const {
  row.channels = channels_, row.weights = reinterpret_cast<const int8_t*>(weights_.data());
  row.bias = bias_.data(), row.multiplier = multiplier_.data();
}

}  // namespace fastnst
