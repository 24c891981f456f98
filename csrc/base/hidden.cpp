#include "base/hidden.h"

#include <algorithm>
#include <utility>

namespace fastnst {
namespace {

using Color = Filling::Color;

constexpr int64_t kColumns = 8 * kCell;  // are filled at a time
constexpr int kLevels = 5;               // from pixels to cells
static_assert(int64_t(1) << kLevels == kCell);
constexpr Color kNeutral = {127 << 8, 127 << 8, 127 << 8};  // of a picture that is hidden altogether

template <typename Value>
struct Grid {
  Grid(int64_t rows, int64_t columns) : height(rows), width(columns), values(size_t(rows * columns)) {}
  Value* row(int64_t y) { return values.data() + y * width; }
  const Value* row(int64_t y) const { return values.data() + y * width; }

  int64_t height, width;
  std::vector<Value> values;
};

template <typename Number>
using Sums = std::array<Number, 4>;

// Adds a row of pixels to the sums of the squares that they lie in, of 2^level columns.
template <typename Number>
void add_row(const uint8_t* rgb, const uint8_t* alpha, int64_t width, int level, Sums<Number>* sums) {
  for (int64_t x = 0; x < width; x++) {
    Sums<Number>& to = sums[x >> level];
    for (size_t c = 0; c < 3; c++) to[c] += Number(rgb[size_t(3 * x) + c] * alpha[x]);
    to[3] += alpha[x];
  }
}

template <typename Number>
Grid<Sums<Number>> halved(const Grid<Sums<Number>>& sums) {
  Grid<Sums<Number>> result((sums.height + 1) / 2, (sums.width + 1) / 2);
  for (int64_t y = 0; y < sums.height; y++)
    for (int64_t x = 0; x < sums.width; x++)
      for (size_t c = 0; c < 4; c++) result.row(y / 2)[x / 2][c] += sums.row(y)[x][c];
  return result;
}

// Two divisions, so that no sum overflows 64 bits.
template <typename Number>
Color mean(const Sums<Number>& sums) {
  const uint64_t weight = sums[3];
  Color color{};
  for (size_t c = 0; c < 3; c++) color[c] = uint16_t(sums[c] / weight * 256 + (sums[c] % weight * 256 + weight / 2) / weight);
  return color;
}

Color mixed(const Color& near, const Color& far) {
  Color color{};
  for (size_t c = 0; c < 3; c++) color[c] = uint16_t((3 * near[c] + far[c] + 2) >> 2);
  return color;
}

// Of `count` pixels, the one next to that which pixel `at` of twice the size lies in.
int64_t beside(int64_t at, int64_t count) { return std::clamp<int64_t>(at / 2 + (at % 2 == 0 ? -1 : 1), 0, count - 1); }

// Row y, of `width` pixels, of `colors` at twice the size. `between`: colors.width pixels for a while.
void enlarge_row(const Grid<Color>& colors, int64_t y, int64_t width, std::vector<Color>& between, Color* enlarged) {
  between.resize(size_t(colors.width));
  const Color *near = colors.row(y / 2), *far = colors.row(beside(y, colors.height));
  for (int64_t x = 0; x < colors.width; x++) between[size_t(x)] = mixed(near[x], far[x]);
  for (int64_t x = 0; x < width; x++) enlarged[x] = mixed(between[size_t(x / 2)], between[size_t(beside(x, colors.width))]);
}

template <typename Number>
Grid<Color> pushed(const Grid<Sums<Number>>& sums, const Grid<Color>& smaller) {
  Grid<Color> colors(sums.height, sums.width);
  std::vector<Color> between;
  for (int64_t y = 0; y < sums.height; y++) {
    enlarge_row(smaller, y, sums.width, between, colors.row(y));
    for (int64_t x = 0; x < sums.width; x++)
      if (sums.row(y)[x][3] > 0) colors.row(y)[x] = mean(sums.row(y)[x]);
  }
  return colors;
}

// The colour of every square: its own where something of it is visible, else pushed from the halved picture.
Grid<Color> colors_of(const Grid<CellSums>& sums) {
  const bool visible = std::all_of(sums.values.begin(), sums.values.end(), [](const CellSums& each) { return each[3] > 0; });
  if (!visible && sums.values.size() > 1) return pushed(sums, colors_of(halved(sums)));
  Grid<Color> colors(sums.height, sums.width);
  std::transform(sums.values.begin(), sums.values.end(), colors.values.begin(),
                 [](const CellSums& each) { return each[3] > 0 ? mean(each) : kNeutral; });
  return colors;
}

// The colours of the squares of 2 x 2 pixels of a part of whole cells, whose own colours are `cells`; in its outermost rows and
// columns only where they are those of the picture. `width`: of the rows that it is a part of.
Grid<Color> colors_of_squares(const uint8_t* rgb, const uint8_t* alpha, int64_t rows, int64_t columns, int64_t width,
                              Grid<Color> cells) {
  std::vector<Grid<Sums<uint32_t>>> levels;
  levels.emplace_back((rows + 1) / 2, (columns + 1) / 2);
  for (int64_t y = 0; y < rows; y++) add_row(rgb + 3 * y * width, alpha + y * width, columns, 1, levels[0].row(y / 2));
  while (levels.size() < kLevels - 1) levels.push_back(halved(levels.back()));
  Grid<Color> colors = std::move(cells);
  for (; !levels.empty(); levels.pop_back()) colors = pushed(levels.back(), colors);
  return colors;
}

bool any_hidden(const uint8_t* alpha, int64_t rows, int64_t columns, int64_t width) {
  for (int64_t y = 0; y < rows; y++, alpha += width)
    if (std::find(alpha, alpha + columns, 0) != alpha + columns) return true;
  return false;
}

}  // namespace

void add_to_cells(const uint8_t* rgb, const uint8_t* alpha, int64_t rows, int64_t width, CellSums* cells) {
  for (int64_t y = 0; y < rows; y++) add_row(rgb + 3 * y * width, alpha + y * width, width, kLevels, cells);
}

Filling::Filling(int64_t height, int64_t width, std::vector<CellSums> cells) : height_(height), width_(width) {
  Grid<CellSums> sums(0, 0);
  sums.height = cells_along(height), sums.width = cells_along(width), sums.values = std::move(cells);
  colors_ = colors_of(sums).values;
}

Filling::Rows Filling::band(int64_t index) const { return {index * kCell, std::min(index * kCell + kCell, height_)}; }

Filling::Rows Filling::around(int64_t index) const {
  const auto [first, last] = band(index);
  return {std::max<int64_t>(0, first - kCell), std::min(height_, last + kCell)};
}

void Filling::fill(int64_t index, const uint8_t* rgb, const uint8_t* alpha, uint8_t* filled) const {
  const auto [first, last] = around(index);
  const auto [top, bottom] = band(index);
  const int64_t own = (top - first) * width_;
  std::vector<Color> between, below;
  for (int64_t left = 0; left < width_; left += kColumns) {  // in parts, because the sums take several times the space
    const int64_t right = std::min(width_, left + kColumns);
    // A cell more on each side: from beyond the edge of a part nothing reaches farther than 1 + 2 + 4 + 8 + 16 pixels.
    const int64_t begin = std::max<int64_t>(0, left - kCell), end = std::min(width_, right + kCell);
    Grid<Color> colors(cells_along(last - first), cells_along(end - begin));
    for (int64_t y = 0; y < colors.height; y++)
      std::copy_n(&colors_[size_t((first / kCell + y) * cells_along(width_) + begin / kCell)], colors.width, colors.row(y));
    const bool hidden = any_hidden(alpha + own + left, bottom - top, right - left, width_);
    if (hidden)
      colors = colors_of_squares(rgb + 3 * begin, alpha + begin, last - first, end - begin, width_, std::move(colors));
    below.resize(size_t(end - begin));
    for (int64_t y = top; y < bottom; y++) {
      if (hidden) enlarge_row(colors, y - first, end - begin, between, below.data());
      for (int64_t x = left; x < right; x++) {
        const int64_t to = (y - top) * width_ + x, from = own + to;
        for (size_t c = 0; c < 3; c++)
          filled[size_t(3 * to) + c] =
              alpha[from] > 0 ? rgb[size_t(3 * from) + c] : uint8_t((below[size_t(x - begin)][c] + 128) >> 8);
      }
    }
  }
}

uint64_t Filling::memory() const {
  // Of a part: sums of 2 x 2 pixels and a third as many above, their colours likewise and of one level twice, and rows.
  constexpr uint64_t kPixels = 3 * kCell * (kColumns + 2 * kCell);
  constexpr uint64_t kSquares = kPixels / 4;
  return colors_.size() * sizeof(Color) + kSquares * 4 / 3 * sizeof(Sums<uint32_t>) + 2 * kSquares * sizeof(Color) +
         2 * (kColumns + 2 * kCell) * sizeof(Color);
}

void fill_hidden(uint8_t* rgb, const uint8_t* alpha, int64_t height, int64_t width) {
  const int64_t across = cells_along(width), bands = cells_along(height);
  std::vector<CellSums> cells(size_t(bands * across));
  for (int64_t y = 0; y < height; y++)
    add_to_cells(rgb + 3 * y * width, alpha + y * width, 1, width, &cells[size_t(y / kCell * across)]);
  const Filling filling(height, width, std::move(cells));
  for (int64_t index = 0; index < bands; index++) {
    const int64_t first = filling.around(index).first * width, top = filling.band(index).first * width;
    filling.fill(index, rgb + 3 * first, alpha + first, rgb + 3 * top);
  }
}

}  // namespace fastnst
