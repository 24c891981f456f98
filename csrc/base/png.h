// The row filters of PNG (ISO 15948, clause 9), which are applied before compression and undone after it.
#pragma once

#include <cstdint>

namespace fastnst {

// Undoes in place the filters of `count` rows, each of a byte for the filter and `bytes` bytes. `pixel`: the bytes of a pixel.
// `previous`: the `bytes` bytes of the row before these, zero before the first; it becomes the last row. Returns false if a
// filter is unknown.
bool png_unfilter(uint8_t* rows, int64_t count, int64_t bytes, int64_t pixel, uint8_t* previous);

// Filters `count` rows of `bytes` bytes, without gaps, by Paeth's predictor into rows as above. `previous`: the row before.
void png_filter(const uint8_t* rows, int64_t count, int64_t bytes, int64_t pixel, const uint8_t* previous, uint8_t* filtered);

}  // namespace fastnst
