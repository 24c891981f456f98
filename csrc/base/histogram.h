// Levels of red, green and blue as often as in another picture: fastnst/color/histograms.py in C++.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace fastnst {

// How often each level is there, of a picture that is seen in parts.
class Histogram {
 public:
  // The level that each becomes.
  using Tables = std::array<std::array<uint8_t, 256>, 3>;

  void add(const uint8_t* rgb, int64_t pixels);
  // A level goes to the one at the same rank in `wanted`; its own rank is the middle of the pixels that have it, so that a
  // picture matched with itself does not change. Both are of pictures with the same number of pixels.
  Tables tables(const Histogram& wanted) const;

 private:
  std::array<std::array<uint64_t, 256>, 3> counts_{};
};

// In place.
void map_levels(const Histogram::Tables& tables, uint8_t* rgb, int64_t pixels, int threads);

}  // namespace fastnst
