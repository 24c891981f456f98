// Levels of red, green and blue as often as in another picture: exact histograms, and a table for each channel.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace fastnst {

// How often each level of each channel is there.
using Histogram = std::array<std::array<uint64_t, 256>, 3>;
// The level that each becomes.
using LevelTables = std::array<std::array<uint8_t, 256>, 3>;

// Adds those of `pixels` pixels of 3 bytes.
void count_levels(const uint8_t* rgb, int64_t pixels, Histogram& histogram);

// A level goes to the one at the same rank in `wanted`; its own rank is the middle of the pixels that have it, so that a
// picture matched with itself does not change. Both are of pictures with the same number of pixels.
LevelTables level_tables(const Histogram& own, const Histogram& wanted);

// In place.
void map_levels(const LevelTables& tables, uint8_t* rgb, int64_t pixels, int threads);

}  // namespace fastnst
