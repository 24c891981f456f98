#include "engine/packing.h"

#include "base/checked.h"

namespace fastnst {

PackedWeights::PackedWeights(int rows, int bytes, int lanes)
    : rows_(rows),
      steps_((bytes + 3) / 4),
      blocks_(lanes / kLanes),
      weights_(checked_multiply(uint64_t(rows) * uint64_t(steps_) * 4, uint64_t(lanes))),
      bias_(lanes),
      multiplier_(lanes) {}

int8_t& PackedWeights::weight(int lane, int row, int byte) {
  int first = 0;  // block where the lane's group starts
  while (first + group_size(blocks_ - first) <= lane / kLanes) first += group_size(blocks_ - first);
  const size_t group = size_t(first) * kLanes * 4 * rows_ * steps_;
  const size_t step = size_t(row) * steps_ + byte / 4;
  const int size = group_size(blocks_ - first);
  return reinterpret_cast<int8_t*>(weights_.data())[group + (step * size * kLanes + (lane - first * kLanes)) * 4 + byte % 4];
}

void PackedWeights::put(ConvRow& row) const {
  row.rows = rows_, row.steps = steps_, row.blocks = blocks_;
  row.weights = reinterpret_cast<const int8_t*>(weights_.data()), row.bias = bias_.data(), row.multiplier = multiplier_.data();
}

}  // namespace fastnst
