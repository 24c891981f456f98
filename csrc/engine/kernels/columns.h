// Depthwise convolution by the dot products of bytes: the three pixels of a column of the window, channel by channel, are the
// bytes of one product, and each column serves the three outputs whose windows it is in. An including path gives `Columns`,
// vectors of as many channels as they have bytes.
#pragma once

#include "engine/kernels/wide.h"

namespace fastnst {
namespace {

template <typename Columns>
void depthwise_channels(const DepthwiseRow& row, int64_t first) {
  using Vector = typename Columns::Vector;
  constexpr ptrdiff_t kBlock = 3 * kLanes * 4;  // bytes of weights to a block of channels
  // A vector of bytes becomes four of dot products, of channels 4 i to 4 i + 3 of each block of 16.
  typename Columns::Weights weights[3][4];
  Vector bias[4], multiplier[4];
  for (int i = 0; i < 4; i++) {
    for (int column = 0; column < 3; column++)
      weights[column][i] = Columns::weights(row.weights + first / kLanes * kBlock + (column * 4 + i) * 16, kBlock);
    bias[i] = Columns::quarters(row.bias + first + 4 * i, kLanes * sizeof(int32_t));
    multiplier[i] = Columns::quarters(row.multiplier + first + 4 * i, kLanes * sizeof(float));
  }
  const uint8_t* source = row.source + first;
  Vector begun[4], half[4];  // sums with one and with two columns
  for (int i = 0; i < 4; i++) begun[i] = half[i] = bias[i];
  for (int64_t x = -2; x < row.pixels; x++, source += row.channels) {
    Vector column[4], done[4];
    Columns::interleave(source, source + row.source_row, source + 2 * row.source_row, column);
    for (int i = 0; i < 4; i++) {
      done[i] = Columns::dot(half[i], column[i], weights[2][i]);
      half[i] = Columns::dot(begun[i], column[i], weights[1][i]);
      begun[i] = Columns::dot(bias[i], column[i], weights[0][i]);
    }
    if (x >= 0) Columns::put(done, multiplier, row.target + x * row.channels + first);
  }
}

template <typename Columns>
void depthwise_columns(const DepthwiseRow& row) {
  int64_t first = 0;
  for (; first + Columns::channels <= row.channels; first += Columns::channels) depthwise_channels<Columns>(row, first);
  for (; first < row.channels; first += kWidth) depthwise_lanes(row, first);
}

}  // namespace
}  // namespace fastnst
