#include "base/yuv.h"

#include <algorithm>
#include <cstddef>

namespace fastnst {
namespace {

uint8_t clamp(int32_t value) { return uint8_t(std::clamp(value, 0, 255)); }

int64_t halved(int64_t size, int factor) { return (size + factor - 1) / factor; }

// One row of chroma at every pixel, times 16 and less 2048. `blend` has room for a sample more on each side.
void interpolate_row(const uint8_t* plane, int64_t row, int64_t rows, int64_t width, Subsampling sampling, int16_t* blend,
                     int16_t* out) {
  const int64_t count = halved(width, sampling.across);
  const int64_t near = row / sampling.down;
  int64_t far = near;
  if (sampling.down == 2) far = std::clamp<int64_t>(row % 2 ? near + 1 : near - 1, 0, rows - 1);
  const uint8_t *a = plane + near * count, *b = plane + far * count;
  const int of_far = !sampling.top ? 1 : row % 2 ? 2 : 0;  // quarters
  int16_t* v = blend + 1;                                  // times 4
  for (int64_t i = 0; i < count; i++) v[i] = int16_t((4 - of_far) * a[i] + of_far * b[i]);
  v[-1] = v[0], v[count] = v[count - 1];
  if (sampling.across == 1) {
    for (int64_t x = 0; x < width; x++) out[x] = int16_t(4 * v[x] - 2048);
    return;
  }
  // An odd width ends within a pair, for which `out` has room.
  for (int64_t i = 0; i < count; i++) {
    const int even = sampling.centred ? 3 * v[i] + v[i - 1] : 4 * v[i];
    const int odd = sampling.centred ? 3 * v[i] + v[i + 1] : 2 * (v[i] + v[i + 1]);
    out[2 * i] = int16_t(even - 2048), out[2 * i + 1] = int16_t(odd - 2048);
  }
}

// The sum of colours under each sample of a row of chroma, of weight 16. `column` has room for a pixel more on each side.
void sum_colors(const uint8_t* pixels, int64_t row, int64_t height, int64_t width, Subsampling sampling, uint16_t* column,
                uint16_t* sums) {
  const int64_t top = row * sampling.down;
  const uint8_t* a = pixels + top * width * 3;
  const uint8_t* b = pixels + std::min(top + sampling.down - 1, height - 1) * width * 3;
  uint16_t* v = column + 3;  // of weight 4
  if (sampling.top) {
    const uint8_t* before = pixels + std::max<int64_t>(top - 1, 0) * width * 3;
    for (int64_t i = 0; i < width * 3; i++) v[i] = uint16_t(before[i] + 2 * a[i] + b[i]);
  } else {
    for (int64_t i = 0; i < width * 3; i++) v[i] = uint16_t(2 * (a[i] + b[i]));
  }
  for (int c = 0; c < 3; c++) v[c - 3] = v[c], v[width * 3 + c] = v[width * 3 - 3 + c];
  const int64_t count = halved(width, sampling.across);
  for (int64_t i = 0; i < count; i++)
    for (int c = 0; c < 3; c++) {
      const uint16_t* at = v + i * sampling.across * 3 + c;
      if (sampling.across == 1)
        sums[3 * i + c] = uint16_t(4 * at[0]);
      else if (sampling.centred)
        sums[3 * i + c] = uint16_t(2 * (at[0] + at[3]));
      else
        sums[3 * i + c] = uint16_t(at[-3] + 2 * at[0] + at[3]);
    }
}

int32_t dot(const std::array<int32_t, 3>& weights, int32_t red, int32_t green, int32_t blue) {
  return weights[0] * red + weights[1] * green + weights[2] * blue;
}

}  // namespace

void yuv_to_rgb(const uint8_t* y, const uint8_t* cb, const uint8_t* cr, int64_t height, int64_t width, Subsampling sampling,
                const FromYuv& matrix, uint8_t* pixels) {
  const int64_t rows = halved(height, sampling.down);
  std::vector<int16_t> blend(size_t(width) + 2), blue_difference(size_t(width) + 1), red_difference(size_t(width) + 1);
  for (int64_t row = 0; row < height; row++) {
    if (cb) interpolate_row(cb, row, rows, width, sampling, blend.data(), blue_difference.data());
    if (cr) interpolate_row(cr, row, rows, width, sampling, blend.data(), red_difference.data());
    const uint8_t* luma = y + row * width;
    uint8_t* to = pixels + row * width * 3;
    for (int64_t x = 0; x < width; x++) {
      const int32_t b = blue_difference[size_t(x)], r = red_difference[size_t(x)];
      const int32_t light = 16 * matrix.y * (luma[x] - matrix.y_zero) + (1 << 19);
      to[3 * x] = clamp((light + matrix.red_cr * r) >> 20);
      to[3 * x + 1] = clamp((light + matrix.green_cb * b + matrix.green_cr * r) >> 20);
      to[3 * x + 2] = clamp((light + matrix.blue_cb * b) >> 20);
    }
  }
}

void rgb_to_yuv(const uint8_t* pixels, int64_t height, int64_t width, Subsampling sampling, const ToYuv& matrix, uint8_t* y,
                uint8_t* cb, uint8_t* cr) {
  for (int64_t i = 0; i < height * width; i++) {
    const uint8_t* p = pixels + 3 * i;
    y[i] = clamp((dot(matrix.y, p[0], p[1], p[2]) + 65536 * matrix.y_zero + (1 << 15)) >> 16);
  }
  const int64_t rows = halved(height, sampling.down), count = halved(width, sampling.across);
  std::vector<uint16_t> column(size_t(width + 2) * 3), sums(size_t(count) * 3);
  constexpr int32_t kMiddle = (128 << 20) + (1 << 19);
  for (int64_t row = 0; row < rows; row++) {
    sum_colors(pixels, row, height, width, sampling, column.data(), sums.data());
    for (int64_t i = 0; i < count; i++) {
      const int32_t red = sums[size_t(3 * i)], green = sums[size_t(3 * i + 1)], blue = sums[size_t(3 * i + 2)];
      cb[row * count + i] = clamp((dot(matrix.cb, red, green, blue) + kMiddle) >> 20);
      cr[row * count + i] = clamp((dot(matrix.cr, red, green, blue) + kMiddle) >> 20);
    }
  }
}

}  // namespace fastnst
