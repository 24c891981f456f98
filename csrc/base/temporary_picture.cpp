#include "base/temporary_picture.h"

#include <algorithm>
#include <utility>

#include "base/checked.h"

namespace fastnst {
namespace {

uint64_t pixels_of(const PictureSize& size) { return checked_multiply(uint64_t(size.height), uint64_t(size.width)); }

}  // namespace

TemporaryPicture::TemporaryPicture(const PictureSize& size, const std::string& folder,
                                   const std::function<void(uint8_t*, uint8_t*)>& next)
    : width_(size.width), rgb_(checked_multiply(pixels_of(size), 3), folder), alpha_(size.alpha ? pixels_of(size) : 0, folder) {
  const int64_t across = cells_along(width_);
  std::vector<uint8_t> rgb(size_t(3 * width_)), alpha(size_t(size.alpha ? width_ : 0));
  std::vector<CellSums> cells(size_t(size.alpha ? cells_along(size.height) * across : 0));
  bool hidden = false;
  for (int64_t y = 0; y < size.height; y++) {
    next(rgb.data(), alpha.data());
    rgb_.write(uint64_t(y * 3 * width_), rgb.data(), rgb.size());
    if (!size.alpha) continue;
    alpha_.write(uint64_t(y * width_), alpha.data(), alpha.size());
    add_to_cells(rgb.data(), alpha.data(), 1, width_, &cells[size_t(y / kCell * across)]);
    hidden = hidden || std::find(alpha.begin(), alpha.end(), 0) != alpha.end();
  }
  if (hidden) fill(Filling(size.height, width_, std::move(cells)));
}

void TemporaryPicture::read(int64_t first, int64_t count, uint8_t* rgb) const {
  rgb_.read(uint64_t(first * 3 * width_), rgb, uint64_t(count * 3 * width_));
}

void TemporaryPicture::read_alpha(int64_t first, int64_t count, uint8_t* alpha) const {
  alpha_.read(uint64_t(first * width_), alpha, uint64_t(count * width_));
}

// In place: colours that are filled in do not influence the bands beside them.
void TemporaryPicture::fill(const Filling& filling) {
  std::vector<uint8_t> rgb, alpha;
  for (int64_t index = 0; index < filling.bands(); index++) {
    const auto [first, last] = filling.around(index);
    const auto [top, bottom] = filling.band(index);
    rgb.resize(size_t((last - first) * 3 * width_)), alpha.resize(size_t((last - first) * width_));
    read_alpha(first, last - first, alpha.data());
    const auto own = alpha.begin() + (top - first) * width_, end = own + (bottom - top) * width_;
    if (std::find(own, end, 0) == end) continue;
    read(first, last - first, rgb.data());
    uint8_t* band = rgb.data() + (top - first) * 3 * width_;
    filling.fill(index, rgb.data(), alpha.data(), band);
    rgb_.write(uint64_t(top * 3 * width_), band, uint64_t((bottom - top) * 3 * width_));
  }
}

}  // namespace fastnst
