#include "engine/palette.h"

#include <algorithm>
#include <cmath>
#include <mutex>
#include <stdexcept>
#include <vector>

#include "base/checked.h"
#include "base/parallel.h"
#include "engine/eigen.h"

namespace fastnst {
namespace {

constexpr int64_t kGrain = 16384;        // pixels that a thread takes at a time
constexpr int64_t kBandBytes = 1 << 15;  // of rows that are read back at a time
constexpr double kMostVariance = 127.5 * 127.5;
constexpr size_t kPairs[6][2] = {{0, 0}, {0, 1}, {0, 2}, {1, 1}, {1, 2}, {2, 2}};  // as color_sums has them

using Matrix = std::vector<double>;  // [3][3]

template <typename Function>
Matrix spectral(const Eigen& parts, Function&& function) {
  std::vector<double> values;
  for (const double value : parts.values) values.push_back(function(value));
  return symmetric_function(parts, values, 1);
}

double root(double value) { return std::sqrt(std::max(value, 0.0)); }

Matrix with_epsilon(const Colors& colors) {
  Matrix matrix(colors.covariance.begin(), colors.covariance.end());
  for (size_t i = 0; i < 3; i++) matrix[4 * i] += kColorEpsilon;
  return matrix;
}

void check(const Colors& colors) {
  for (const double mean : colors.mean)
    if (!(mean >= 0 && mean <= 255)) throw std::invalid_argument("a mean colour that no picture has");
  for (size_t i = 0; i < 9; i++)
    if (!(std::abs(colors.covariance[i]) <= kMostVariance) || (i % 4 == 0 && colors.covariance[i] < 0))
      throw std::invalid_argument("a covariance of colours that no picture has");
}

}  // namespace

Colors mixed(const std::vector<const Colors*>& colors, const std::vector<double>& weights) {
  Colors sum{};
  for (size_t i = 0; i < colors.size(); i++) {
    for (size_t k = 0; k < 3; k++) sum.mean[k] += colors[i]->mean[k] * weights[i];
    for (size_t k = 0; k < 9; k++) sum.covariance[k] += colors[i]->covariance[k] * weights[i];
  }
  return sum;
}

void ColorSums::add(const uint8_t* rgb, int64_t pixels, int threads) {
  std::mutex mutex;
  parallel_for(pixels, kGrain, threads, [&](int, int64_t begin, int64_t end) {
    uint64_t own[9] = {};
    kernels().color_sums(rgb + 3 * begin, end - begin, own);
    const std::lock_guard<std::mutex> lock(mutex);
    for (size_t i = 0; i < 9; i++) sums_[i] += own[i];
  });
  count_ += uint64_t(pixels);
}

Colors ColorSums::colors() const {
  using Exact = __int128;
  if (count_ == 0) throw std::invalid_argument("a picture without pixels has no colours");
  const double n = double(count_);
  Colors colors{};
  for (size_t i = 0; i < 3; i++) colors.mean[i] = double(sums_[i]) / n;
  for (size_t k = 0; k < 6; k++) {
    const auto [i, j] = kPairs[k];
    const Exact spread = Exact(count_) * sums_[3 + k] - Exact(sums_[i]) * sums_[j];
    colors.covariance[3 * i + j] = colors.covariance[3 * j + i] = double(spread) / (n * n);
  }
  return colors;
}

ColorMap color_map(const Colors& picture, const Colors& style, double strength) {
  if (!(strength >= 0 && strength <= 1)) throw std::invalid_argument("the palette's strength must be 0 to 1");
  check(picture);
  check(style);
  const Eigen parts = eigen(with_epsilon(picture), 3);
  const Matrix forth = spectral(parts, root);
  const Matrix back = spectral(parts, [](double value) { return 1 / root(std::max(value, kColorEpsilon / 2)); });
  const Matrix inner = product(product(forth, with_epsilon(style), 3, 1), forth, 3, 1);
  const Matrix moved = product(product(back, spectral(eigen(inner, 3), root), 3, 1), back, 3, 1);
  ColorMap map{};
  constexpr double kOne = 1 << kColorBits;
  for (size_t i = 0; i < 3; i++) {
    double t[3];
    for (size_t j = 0; j < 3; j++) {
      t[j] = strength * moved[3 * i + j] + (1 - strength) * (i == j ? 1 : 0);
      map.matrix[i][j] = int32_t(std::nearbyint(kOne * t[j]));
    }
    const double target = strength * style.mean[i] + (1 - strength) * picture.mean[i];
    const double source = (t[0] * picture.mean[0] + t[1] * picture.mean[1]) + t[2] * picture.mean[2];
    map.offset[i] = int32_t(std::nearbyint(kOne * (target - source)));
  }
  return map;
}

void map_colors(const ColorMap& map, uint8_t* rgb, int64_t pixels, int threads) {
  parallel_for(pixels, kGrain, threads,
               [&](int, int64_t begin, int64_t end) { kernels().map_colors(map, rgb + 3 * begin, end - begin); });
}

struct Recoloring::State {
  const RowIO& io;
  Colors style;
  double strength;
  TemporaryStorage storage;
  ColorSums sums;
  uint64_t written = 0;
};

Recoloring::Recoloring(const RowIO& io, const Colors& style, double strength, const std::string& folder)
    : state_(new State{
          io, style, strength, {checked_multiply(checked_multiply(uint64_t(io.height), uint64_t(io.width)), 3), folder}, {}}) {}

Recoloring::~Recoloring() = default;

RowIO Recoloring::before() const {
  State& state = *state_;
  const RowIO& after = state.io;
  return {after.height,
          after.width,
          [&after](int64_t first, int64_t count, uint8_t* rows) { after.read(first, count, rows); },
          [&state](const uint8_t* rows, int64_t count) {
            const uint64_t pixels = uint64_t(count) * uint64_t(state.io.width);
            state.sums.add(rows, int64_t(pixels), state.io.threads);
            state.storage.write(state.written, rows, 3 * pixels);
            state.written += 3 * pixels;
          },
          [&after](double part) { after.tell(part); },
          after.threads};
}

void Recoloring::finish() {
  const RowIO& io = state_->io;
  const ColorMap map = color_map(state_->sums.colors(), state_->style, state_->strength);
  const int64_t row_bytes = 3 * io.width, together = std::clamp<int64_t>(kBandBytes / row_bytes, 1, io.height);
  Buffer band(size_t(row_bytes * together));
  for (int64_t top = 0; top < io.height; top += together) {
    const int64_t count = std::min(together, io.height - top);
    state_->storage.read(uint64_t(top * row_bytes), band.data(), uint64_t(count * row_bytes));
    map_colors(map, band.data(), count * io.width, io.threads);
    io.write(band.data(), count);
  }
}

}  // namespace fastnst
