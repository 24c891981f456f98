#include "base/png.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>

namespace fastnst {
namespace {

enum Filter : uint8_t { none, sub, up, average, paeth };

uint8_t paeth_of(int left, int above, int corner) {
  const int to_left = std::abs(above - corner), to_above = std::abs(left - corner);
  const int to_corner = std::abs(left + above - 2 * corner);
  if (to_left <= to_above && to_left <= to_corner) return uint8_t(left);
  return uint8_t(to_above <= to_corner ? above : corner);
}

// Without branches and in 16 bits, so that the compiler makes vectors of it.
void subtract_paeth(const uint8_t* __restrict row, const uint8_t* __restrict above, int64_t pixel, int64_t bytes,
                    uint8_t* __restrict to) {
  for (int64_t i = pixel; i < bytes; i++) {
    const int16_t left = row[i - pixel], up = above[i], corner = above[i - pixel];
    const int16_t across = int16_t(up - corner), down = int16_t(left - corner), both = int16_t(across + down);
    const int16_t to_left = across < 0 ? -across : across, to_above = down < 0 ? -down : down;
    const int16_t to_corner = both < 0 ? -both : both;
    const int16_t other = to_above <= to_corner ? up : corner;
    to[i] = uint8_t(row[i] - (((to_left <= to_above) & (to_left <= to_corner)) ? left : other));
  }
}

}  // namespace

bool png_unfilter(uint8_t* rows, int64_t count, int64_t bytes, int64_t pixel, uint8_t* previous) {
  const uint8_t* above = previous;
  for (int64_t y = 0; y < count; y++) {
    const uint8_t filter = *rows++;
    if (filter > paeth) return false;
    for (int64_t i = 0; i < bytes && filter != none; i++) {
      const int left = i < pixel ? 0 : rows[i - pixel], corner = i < pixel ? 0 : above[i - pixel];
      const int predicted = filter == sub  ? left
                            : filter == up ? above[i]
                                           : (filter == average ? (left + above[i]) / 2 : paeth_of(left, above[i], corner));
      rows[i] = uint8_t(rows[i] + predicted);
    }
    above = rows;
    rows += bytes;
  }
  if (count > 0) std::memcpy(previous, above, size_t(bytes));
  return true;
}

void png_filter(const uint8_t* rows, int64_t count, int64_t bytes, int64_t pixel, const uint8_t* previous, uint8_t* filtered) {
  const uint8_t* above = previous;
  for (int64_t y = 0; y < count; y++) {
    *filtered++ = paeth;
    const int64_t first = std::min(pixel, bytes);
    for (int64_t i = 0; i < first; i++) filtered[i] = uint8_t(rows[i] - above[i]);
    subtract_paeth(rows, above, pixel, bytes, filtered);
    above = rows;
    rows += bytes;
    filtered += bytes;
  }
}

}  // namespace fastnst
