// The description of a feature map: plain data, which every variant of every operation reads.
#pragma once

#include <cstdint>

namespace fastnst {

struct FeatureMap {
  const void* data;  // [batch, channels, positions], or [batch, positions, channels] if channels_last
  int element;       // numbers of Element in vector.h
  bool channels_last;
  int64_t batch, channels, positions;
};

}  // namespace fastnst
