// The row filters of PNG (ISO 15948, clause 9): what is done to rows before they are compressed, and undone after.
#pragma once

#include <cstdint>

namespace fastnst {

// Undoes the filters of `count` rows, each a byte that says which and `bytes` bytes, in their place. `pixel`: bytes of a pixel.
// `previous`: `bytes` of the row before them, zero before the first; becomes the last row. False if a filter is unknown.
bool png_unfilter(uint8_t* rows, int64_t count, int64_t bytes, int64_t pixel, uint8_t* previous);

// Filters `count` rows of `bytes` bytes side by side by Paeth's predictor into rows as above. `previous`: as above.
void png_filter(const uint8_t* rows, int64_t count, int64_t bytes, int64_t pixel, const uint8_t* previous, uint8_t* filtered);

}  // namespace fastnst
