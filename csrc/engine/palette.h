// The palette step: one linear map of the colours gives a picture the mean and covariance of its style's colours (the
// Monge-Kantorovich map of Pitie and Kokaram, CVMP 2007). Colours are 8-bit RGB.
//
// The arithmetic, the same bytes on every machine. With S1 = sum of x and S2 = sum of x x^T over n pixels exactly, in float64:
//   mean_i = S1_i / n,  covariance_ij = (n * S2_ij - S1_i * S1_j) / (n * n)
//   A = covariance of the picture + kColorEpsilon I,  B = that of the style + kColorEpsilon I
//   M = A^(1/2) B A^(1/2),  T = strength * (A^(-1/2) M^(1/2) A^(-1/2)) + (1 - strength) * I
// with the roots and products of eigen.h, then rounded to integers, nearest, halves to even:
//   matrix_ij = round(2^13 * T_ij)
//   offset_i  = round(2^13 * ((strength * style.mean_i + (1 - strength) * mean_i) - ((T_i0 * mean_0 + T_i1 * mean_1) + T_i2 *
//   mean_2)))
// A pixel becomes clamp((matrix x + offset + 2^12) >> 13, 0, 255), in 32 bits: |T_ij| < 158 because no variance is above
// 127.5^2, so no sum leaves +-1.2 * 10^9.
//
// Of a region, n, S1 and S2 are sums of the shares of its pixels, of these times x and x x^T: see regions.h. A pixel becomes
// the Blend of what the maps of all regions make of it.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/temporary_storage.h"
#include "engine/kernels/kernels.h"
#include "engine/regions.h"
#include "engine/tiles.h"

namespace fastnst {

// 1e-5 for values 0..1. It bounds T where a picture has hardly any variance along an axis.
constexpr double kColorEpsilon = 1e-5 * 255 * 255;

// Mean [3] and covariance [3][3] of the colours of a picture.
struct Colors {
  std::array<double, 3> mean;
  std::array<double, 9> covariance;
};

// The weighted sum of several, in the order in which they are given; weights are taken as they are.
Colors mixed(const std::vector<const Colors*>& colors, const std::vector<double>& weights);

// The exact sums behind the colours of a picture that is seen in parts.
class ColorSums {
 public:
  void add(const uint8_t* rgb, int64_t pixels, int threads);
  // `times` the sums of others, of weights: as kColorSums has them.
  void add(const uint64_t* sums, uint64_t times);
  void subtract(const ColorSums& others);
  bool empty() const { return count_ == 0; }
  Colors colors() const;

 private:
  using Exact = unsigned __int128;
  uint64_t count_ = 0;
  std::array<Exact, 9> sums_{};
};

// The map from the colours of a picture to those of a style. Throws std::invalid_argument if a number is not finite, or none
// that a picture can have.
ColorMap color_map(const Colors& picture, const Colors& style, double strength);

// In place.
void map_colors(const ColorMap& map, uint8_t* rgb, int64_t pixels, int threads);

// Colours that a picture is to have, and how far; with strength 0 its own.
struct Palette {
  Colors colors;
  double strength;
};

// What changes the colours of a picture, in rows, once all of it has been seen.
class ColorStep {
 public:
  virtual ~ColorStep() = default;
  // Rows, `count` of them from `first` on.
  virtual void add(const uint8_t* rows, int64_t first, int64_t count, int threads) = 0;
  // All have been added. Throws as color_map() does.
  virtual void settle() = 0;
  // In place.
  virtual void apply(uint8_t* rows, int64_t first, int64_t count, int threads) const = 0;
};

// The palette step.
class PaletteStep final : public ColorStep {
 public:
  // `palettes`: one, or with a grid of pixels, one for each part. `grid` lives as long as this.
  PaletteStep(std::vector<Palette> palettes, const RegionGrid* grid, int64_t width);

  void add(const uint8_t* rows, int64_t first, int64_t count, int threads) override;
  void settle() override;
  void apply(uint8_t* rows, int64_t first, int64_t count, int threads) const override;

 private:
  std::vector<Palette> palettes_;
  const RegionGrid* grid_;
  int64_t width_;
  std::vector<ColorSums> sums_;  // of each palette; of the last one, until settle(), the sum of all of them
  std::vector<ColorMap> maps_;   // with a grid also the content's, whose colours stay
};

// Makes each pixel of rows from `first` on the content's as far as its share is the rest's: (share * content + (kFull - share)
// * result + 128) >> 8.
void keep_rest(const RegionGrid& grid, const uint8_t* content, uint8_t* result, int64_t first, int64_t count, int64_t width,
               int threads);

// A step that follows a picture that arrives in rows: they are put aside until all of them have been seen.
class Recoloring {
 public:
  // `io` and `step`: live as long as this. `folder`: see TemporaryStorage.
  Recoloring(const RowIO& io, ColorStep& step, const std::string& folder);

  // What the engine reads from and writes to instead.
  RowIO before() const;
  // Hands on the picture with its colours mapped.
  void finish();
  ~Recoloring();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace fastnst
