#include "base/lab.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <vector>

#include "base/parallel.h"

namespace fastnst {
namespace {

constexpr int64_t kOne = 1 << 16;  // numbers 0..1 are integers of 16 bits
constexpr int64_t kGrain = 16384;  // pixels that a thread takes at a time
using Matrix = int64_t[3][3];
using Triple = std::array<int64_t, 3>;

// Linear sRGB (IEC 61966-2-1) to X/Xn, Y/Yn, Z/Zn of D65 and back, in 1/65536; every row has the sum 1, so that grey stays
// grey.
constexpr Matrix kToXyz = {{28439, 24656, 12441}, {13938, 46868, 4730}, {1164, 7174, 57198}};
constexpr Matrix kFromXyz = {{201848, -100738, -35574}, {-60376, 122947, 2965}, {3466, -13371, 75441}};

// Linear light of level / of in sRGB, to the nearest. Beside x^12 the fifth power is known far better than the 10^-4 that
// the closest of all levels and borders is away from a tie.
int64_t linear(int64_t level, int64_t of) {
  if (100000 * level <= 4045 * of) return (2 * 100 * level * kOne + 1292 * of) / (2 * 1292 * of);
  const double x = double(1000 * level + 55 * of) / double(1055 * of), cube = x * x * x, wanted = cube * cube * cube * cube;
  int64_t low = 0, high = 2 * kOne + 1;
  while (high - low > 1) {
    const int64_t middle = (low + high) / 2;
    const double v = double(middle) / double(2 * kOne), square = v * v;
    (square * square * v <= wanted ? low : high) = middle;
  }
  return (low + 1) / 2;
}

struct Tables {
  std::vector<int32_t> roots;      // f of 0..1: the cube root, and below (6/29)^3 the line t * 841/108 + 4/29
  std::vector<uint8_t> levels;     // of linear light 0..1: between two levels lies what has half a level more
  std::array<int32_t, 256> light;  // of levels

  Tables() : roots(kOne + 1), levels(kOne + 1) {
    for (int64_t level = 0; level < 256; level++) light[size_t(level)] = int32_t(linear(level, 255));
    const auto cube = [](int64_t x) { return x * x * x; };
    int64_t root = 0, level = 0, border = linear(1, 510);
    for (int64_t t = 0; t <= kOne; t++) {
      while (cube(2 * root + 1) <= t << 35) root++;  // the root of t * 2^32, to the nearest
      const int64_t line = (2 * (841 * 29 * t + 4 * 108 * kOne) + 108 * 29) / (2 * 108 * 29);
      roots[size_t(t)] = int32_t(24389 * t > 216 * kOne ? root : line);
      while (level < 255 && border < t) border = linear(2 * ++level + 1, 510);
      levels[size_t(t)] = uint8_t(level);
    }
  }
};

const Tables& tables() {
  static const Tables made;
  return made;
}

Triple product(const Matrix& matrix, const Triple& by) {
  Triple result;
  for (size_t i = 0; i < 3; i++)
    result[i] = (matrix[i][0] * by[0] + matrix[i][1] * by[1] + matrix[i][2] * by[2] + kOne / 2) >> 16;
  return result;
}

// What has this number as its f: t = f^3, and below f = 6/29 the line t = (f - 4/29) * 108/841, rounded to the nearest.
int64_t cubed(int64_t root) {
  if (29 * root > 6 * kOne) return (root * root * root + (int64_t(1) << 31)) >> 32;
  constexpr int64_t kBy = 29 * 841;
  const int64_t line = (29 * root - 4 * kOne) * 108 + kBy / 2;
  return line >= 0 ? line / kBy : -((kBy - 1 - line) / kBy);  // rounded down
}

}  // namespace

void keep_lab(const uint8_t* content, uint8_t* styled, int64_t pixels, int threads) {
  const Tables& table = tables();
  const auto relative = [&](const uint8_t* pixel) {
    return product(kToXyz, {table.light[pixel[0]], table.light[pixel[1]], table.light[pixel[2]]});
  };
  parallel_for(pixels, kGrain, threads, [&](int, int64_t begin, int64_t end) {
    for (int64_t i = 3 * begin; i < 3 * end; i += 3) {
      Triple moved = relative(content + i);
      for (int64_t& each : moved) each = table.roots[size_t(each)];
      const int64_t by = table.roots[size_t(relative(styled + i)[1])] - moved[1];
      for (int64_t& each : moved) each = cubed(each + by);
      const Triple light = product(kFromXyz, moved);
      for (size_t c = 0; c < 3; c++) styled[i + int64_t(c)] = table.levels[size_t(std::clamp<int64_t>(light[c], 0, kOne))];
    }
  });
}

}  // namespace fastnst
