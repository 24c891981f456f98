// 8-bit Y'CbCr planes to R'G'B' pixels and back, in integers with one rounding per value: the same bytes everywhere.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

namespace fastnst {

// Where chroma samples lie relative to luma. Chroma planes have ceil(width / across) x ceil(height / down) samples.
struct Subsampling {
  int across, down;  // 1 or 2
  bool centred;      // between two columns (JPEG, MPEG-1), or else on the left one (MPEG-2 and later)
  bool top;          // on the upper one of two rows (PAL DV), or else between them
};

// In units of 1/65536. Chroma is counted from 128.
struct FromYuv {
  int32_t y_zero;  // the value of black
  int32_t y;       // the same weight in red, green and blue
  int32_t red_cr, green_cb, green_cr, blue_cb;
};

struct ToYuv {
  int32_t y_zero;
  std::array<int32_t, 3> y, cb, cr;  // of red, green and blue
};

// Interpolates chroma linearly, then applies the matrix: with C = 16 times the interpolated chroma - 2048,
//   R = clamp((16 * y * (Y - y_zero) + red_cr * Cr + 2^19) >> 20), and likewise green and blue.
// Between two samples interpolation weights the nearer by 3/4 and the farther by 1/4, or both by 1/2 halfway; at a sample it
// takes that alone. At the edge the last sample is repeated. Planes have no gaps between rows. `cb` and `cr` are null for grey.
void yuv_to_rgb(const uint8_t* y, const uint8_t* cb, const uint8_t* cr, int64_t height, int64_t width, Subsampling sampling,
                const FromYuv& matrix, uint8_t* pixels);

// Y = clamp((y . RGB + 65536 y_zero + 2^15) >> 16). Chroma of the mean colour under a sample, its sum S of weight 16:
//   Cb = clamp((cb . S + 128 * 2^20 + 2^19) >> 20), and likewise Cr.
// The mean is over `down` rows where chroma is between them or whole, and over `across` columns where it is centred or whole;
// else of the row or column at the sample with weight 1/2 and its neighbours with 1/4 each. At the edge the last pixel is
// repeated.
void rgb_to_yuv(const uint8_t* pixels, int64_t height, int64_t width, Subsampling sampling, const ToYuv& matrix, uint8_t* y,
                uint8_t* cb, uint8_t* cr);

}  // namespace fastnst
