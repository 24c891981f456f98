// The lightness of one picture in the colours of another, as CIE 1976 L*a*b* has them: in integers, the same everywhere.
//
// With f of the three relative tristimulus values X/Xn, Y/Yn, Z/Zn, L* is 116 f(Y) - 16, a* is 500 (f(X) - f(Y)) and b* is
// 200 (f(Y) - f(Z)): another lightness with the same a* and b* adds one number to all three.
#pragma once

#include <cstdint>

namespace fastnst {

// Gives `styled` the a* and b* of `content`, in place; both have `pixels` pixels of 3 bytes. The bytes are the same on every
// machine; what sRGB does not hold is clipped.
void keep_lab(const uint8_t* content, uint8_t* styled, int64_t pixels, int threads);

}  // namespace fastnst
