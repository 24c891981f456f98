// The lightness of one picture in the colours of another, as CIE 1976 L*a*b* has them: fastnst/color/lab.py in C++.
#pragma once

#include <cstdint>

namespace fastnst {

// Gives `styled` the a* and b* of `content`, in place; both have `pixels` pixels of 3 bytes. The bytes are the same on every
// machine; what sRGB does not hold is clipped.
void keep_lab(const uint8_t* content, uint8_t* styled, int64_t pixels, int threads);

}  // namespace fastnst
