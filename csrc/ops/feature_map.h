// Feature maps as the library is told of them. Plain data: every variant of every operation reads it.
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
