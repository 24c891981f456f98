// The colours of fully transparent pixels: they are invisible, and nothing visible may depend on them.
//
// A network and its statistics use all pixels. So the colours of fully transparent ones are replaced by colours around them, by
// pull and push (Gortler et al., "The Lumigraph", 1996, section 3.5). Pulling halves the picture repeatedly: each pixel of the
// smaller picture is the mean of four, weighted by their opacity; beyond the last row or column everything is transparent.
// Pushing goes back: a pixel without a colour takes that of the next smaller picture, interpolated bilinearly. Pixels that are
// visible at all keep their colours.
//
// The arithmetic gives the same bytes on every machine. The mean of samples v with opacities a is
//   floor((256 * sum(v * a) + floor(sum(a) / 2)) / sum(a)),
// in units of 1/256, or 127 * 256 where the whole picture is hidden. A pixel of the picture of twice the size is
//   m(near, far) = floor((3 * near + far + 2) / 4)
// of the pixel that it lies in and the next one on its side, or the same one at an edge: first of rows, then of columns. A
// hidden pixel of the picture itself becomes floor((c + 128) / 256).
//
// A picture of any size is filled in bands of rows, with the same result: first the sums of its cells of kCell x kCell pixels
// are taken, and the small pictures made of these alone; then each band is filled, with a row of cells above and below it.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

namespace fastnst {

constexpr int64_t kCell = 32;

// The number of cells along a side of `pixels` pixels.
constexpr int64_t cells_along(int64_t pixels) { return (pixels + kCell - 1) / kCell; }

// Sums of red, green and blue times opacity, and of opacity: below 2^64 for the largest picture, 2^24 x 2^24.
using CellSums = std::array<uint64_t, 4>;

// Adds `rows` rows of `width` pixels, all of one band, to the sums of the band's cells_along(width) cells.
void add_to_cells(const uint8_t* rgb, const uint8_t* alpha, int64_t rows, int64_t width, CellSums* cells);

// Fills the hidden pixels of a picture band by band, in any order.
class Filling {
 public:
  // `cells`: [cells_along(height)][cells_along(width)].
  Filling(int64_t height, int64_t width, std::vector<CellSums> cells);

  int64_t bands() const { return cells_along(height_); }
  int64_t width() const { return width_; }

  // Rows [first, last) of the picture.
  struct Rows {
    int64_t first, last;
  };
  Rows band(int64_t index) const;    // the rows of band `index`, 0 <= index < bands()
  Rows around(int64_t index) const;  // the rows that filling it needs: also those of the bands beside it

  // Writes band `index` to `filled`, which may be its place in `rgb`. `rgb`, `alpha`: the rows around() it, filled or not.
  void fill(int64_t index, const uint8_t* rgb, const uint8_t* alpha, uint8_t* filled) const;

  // The bytes of memory of this object, and of fill() while it runs.
  uint64_t memory() const;

  using Color = std::array<uint16_t, 3>;  // in 1/256

 private:
  int64_t height_, width_;
  std::vector<Color> colors_;  // of the cells
};

// Fills a picture that is in memory.
void fill_hidden(uint8_t* rgb, const uint8_t* alpha, int64_t height, int64_t width);

}  // namespace fastnst
