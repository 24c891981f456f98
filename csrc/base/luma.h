// Combines the luma of a stylized picture with the chroma of its content.
#pragma once

#include <cstdint>

namespace fastnst {

// Gives `styled` the colours of `content`, in place; both have `pixels` pixels of 3 bytes. Adding one number to red, green and
// blue moves luma by that number and leaves chroma as it is, so a pixel becomes
//   clamp(content + round(luma(styled) - luma(content)), 0, 255)
// with the luma of ITU-R BT.601 in units of 1/65536, as in JPEG: the same bytes on every machine.
void keep_color(const uint8_t* content, uint8_t* styled, int64_t pixels, int threads);

}  // namespace fastnst
