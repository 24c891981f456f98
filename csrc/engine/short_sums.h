// Which products of bytes may be summed in 16 bits. An input is at most 255, so a sum of products stays between -2^15 and
// 2^15 - 1 whatever the inputs if its positive weights sum to at most 128, and its negative ones too: 255 * 128 < 2^15.
#pragma once

#include <cstdint>
#include <vector>

#include "base/buffer.h"
#include "engine/kernels/kernels.h"

namespace fastnst {

constexpr int kShortBound = 128;

// Weights arranged as ShortBlocks. Each of a step's 16 lanes has two sums of 16 bits, of its bytes 0 and 1 and of 2 and 3. Steps
// of one run that keep the bound together become a group, a step that breaks it alone is widened, and one of zeros is left out.
class ShortSums {
 public:
  ShortSums() = default;
  // From `weights` packed as for a ConvRow without short sums.
  ShortSums(const int8_t* weights, int rows, int steps, int blocks);

  const ShortBlock* blocks() const { return blocks_.data(); }
  // Of all steps that are not left out, and of those that are widened.
  struct Counts {
    int64_t steps, widened;
  };
  Counts counts() const;

 private:
  std::vector<ShortBlock> blocks_;
  std::vector<int32_t> places_;
  Buffer weights_;
};

}  // namespace fastnst
