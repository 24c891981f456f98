// Pictures that keep the colours of their content: the luma of one picture, the chroma of another.
#pragma once

#include <cstdint>

namespace fastnst {

// Gives `styled` the colours of `content`, both of so many pixels of 3 bytes, in place. Adding one number to red, green and
// blue moves luma by just that number and chroma not at all, so a pixel becomes
//   clamp(content + round(luma(styled) - luma(content)), 0, 255)
// with the luma of ITU-R BT.601 in units of 1/65536, as in JPEG: the same bytes on every machine.
void keep_color(const uint8_t* content, uint8_t* styled, int64_t pixels, int threads);

}  // namespace fastnst
