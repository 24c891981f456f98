// Which products of bytes may be summed in 16 bits. Where no input is above `most`, a sum of products stays between -2^15 and
// 2^15 - 1 if its positive weights sum to at most (2^15 - 1) / most, and its negative ones too: to 128 for any bytes, to 258
// for those up to 127.
#pragma once

#include <cstdint>
#include <vector>

#include "base/buffer.h"
#include "engine/kernels/kernels.h"

namespace fastnst {

constexpr int short_bound(int most) { return INT16_MAX / most; }

// Weights arranged as ShortBlocks. Each of a step's 16 lanes has two sums of 16 bits, of its bytes 0 and 1 and of 2 and 3.
// Steps of one run that keep the bound together become a group, a step that breaks it alone is widened, and one of zeros is
// left out.
class ShortSums {
 public:
  ShortSums() = default;
  // From `weights` packed as for a ConvRow without short sums, for inputs up to `most`.
  ShortSums(const int8_t* weights, int rows, int steps, int blocks, int most);

  // Null if there are none.
  const ShortBlock* blocks() const { return blocks_.empty() ? nullptr : blocks_.data(); }

 private:
  std::vector<ShortBlock> blocks_;
  std::vector<int32_t> places_;
  Buffer weights_;
};

}  // namespace fastnst
