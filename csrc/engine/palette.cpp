#include "engine/palette.h"

#include <algorithm>
#include <cmath>
#include <mutex>
#include <stdexcept>
#include <utility>
#include <vector>

#include "base/checked.h"
#include "base/parallel.h"
#include "engine/eigen.h"

namespace fastnst {
namespace {

constexpr int64_t kGrain = 16384;        // pixels that a thread takes at a time
constexpr int64_t kPiece = 64;           // pixels whose weights are computed together
constexpr int64_t kShort = 16;           // pixels that are not worth a call
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

// Calls piece(y, x, pixels) for pieces of `rows` rows of `width` pixels.
template <typename Piece>
void for_pieces(int64_t rows, int64_t width, Piece&& piece) {
  for (int64_t y = 0; y < rows; y++)
    for (int64_t x = 0; x < width; x += kPiece) piece(y, x, std::min(kPiece, width - x));
}

// As color_sums, times `weight`.
void add_pixels(const uint8_t* rgb, int64_t pixels, uint64_t weight, uint64_t* sums) {
  for (; pixels > 0; pixels--, rgb += 3) {
    const uint64_t by[3] = {weight * rgb[0], weight * rgb[1], weight * rgb[2]};
    for (size_t i = 0; i < 3; i++) sums[i] += by[i];
    for (size_t k = 0; k < 6; k++) sums[3 + k] += by[kPairs[k][0]] * rgb[kPairs[k][1]];
  }
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

void ColorSums::add(const std::array<uint64_t, 9>& sums, uint64_t weight) {
  for (size_t i = 0; i < 9; i++) sums_[i] += sums[i];
  count_ += weight;
}

Colors ColorSums::colors() const {
  if (count_ == 0) throw std::invalid_argument("a picture without pixels has no colours");
  const double n = double(count_);
  Colors colors{};
  for (size_t i = 0; i < 3; i++) colors.mean[i] = double(sums_[i]) / n;
  for (size_t k = 0; k < 6; k++) {
    const auto [i, j] = kPairs[k];
    // The terms may pass 2^127, and their difference does not: it is at most 2^14 times the square of the count.
    const auto spread = __int128(Exact(count_) * sums_[3 + k] - sums_[i] * sums_[j]);
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

PaletteStep::PaletteStep(std::vector<Palette> palettes, const RegionGrid* grid, int64_t width)
    : palettes_(std::move(palettes)), grid_(grid), width_(width), sums_(palettes_.size()), maps_(palettes_.size()) {
  if (palettes_.size() != (grid == nullptr ? 1 : grid->parts()))
    throw std::invalid_argument("there must be one palette for each region and the rest");
}

void PaletteStep::add(const uint8_t* rows, int64_t first, int64_t count, int threads) {
  if (grid_ == nullptr) return sums_.front().add(rows, count * width_, threads);
  const size_t parts = sums_.size();
  std::mutex mutex;
  parallel_for(count, 1, threads, [&](int, int64_t begin, int64_t end) {
    std::array<uint64_t, 9> own[kMaxRegions + 1] = {};
    uint64_t total[kMaxRegions + 1] = {};
    for_pieces(end - begin, width_, [&](int64_t y, int64_t x, int64_t pixels) {
      uint16_t weights[(kMaxRegions + 1) * kPiece];
      grid_->shares(first + begin + y, x, pixels, weights);
      for (size_t part = 0; part < parts; part++)
        for_weights(weights + int64_t(part) * pixels, pixels, [&](uint64_t weight, int64_t left, int64_t right) {
          const uint8_t* run = rows + 3 * ((begin + y) * width_ + x + left);
          total[part] += weight * uint64_t(right - left);
          if (right - left < kShort) return add_pixels(run, right - left, weight, own[part].data());
          uint64_t some[9] = {};
          kernels().color_sums(run, right - left, some);
          for (size_t i = 0; i < 9; i++) own[part][i] += weight * some[i];
        });
    });
    const std::lock_guard<std::mutex> lock(mutex);
    for (size_t part = 0; part < parts; part++) sums_[part].add(own[part], total[part]);
  });
}

void PaletteStep::settle() {
  for (size_t part = 0; part < maps_.size(); part++) {
    if (palettes_[part].strength > 0 && !sums_[part].empty())
      maps_[part] = color_map(sums_[part].colors(), palettes_[part].colors, palettes_[part].strength);
    else
      palettes_[part].strength = 0;
  }
}

void PaletteStep::map_run(size_t part, uint8_t* rgb, int64_t pixels) const {
  if (part < maps_.size() && palettes_[part].strength > 0) kernels().map_colors(maps_[part], rgb, pixels);
}

void PaletteStep::apply(uint8_t* rows, int64_t first, int64_t count, int threads) const {
  if (grid_ == nullptr) {
    if (palettes_.front().strength > 0) map_colors(maps_.front(), rows, count * width_, threads);
    return;
  }
  parallel_for(count, 1, threads, [&](int, int64_t begin, int64_t end) {
    for (int64_t y = begin; y < end; y++) apply_row(rows + 3 * width_ * y, first + y);
  });
}

void PaletteStep::apply_row(uint8_t* row, int64_t y) const {
  const size_t parts = maps_.size() + 1;  // and the content, whose colours stay
  for_pieces(1, width_, [&](int64_t, int64_t x, int64_t pixels) {
    uint16_t weights[(kMaxRegions + 2) * kPiece];
    uint8_t made[3 * kPiece];
    Blend blend;
    uint8_t* const piece = row + 3 * x;
    grid_->painted(y, x, pixels, weights);
    for_runs(
        weights, parts, pixels, [&](size_t part, int64_t begin, int64_t end) { map_run(part, piece + 3 * begin, end - begin); },
        [&](int64_t begin, int64_t end) {
          blend.begin(3 * (end - begin));
          for (size_t part = 0; part < parts; part++) {
            const uint16_t* own = weights + int64_t(part) * pixels;
            if (std::all_of(own + begin, own + end, [](uint16_t weight) { return weight == 0; })) continue;
            std::copy_n(piece + 3 * begin, 3 * (end - begin), made);
            map_run(part, made, end - begin);
            blend.add(own + begin, made, 0, end - begin, 3);
          }
          blend.take(piece + 3 * begin, 3 * (end - begin));
        });
  });
}

void keep_rest(const RegionGrid& grid, const uint8_t* content, uint8_t* result, int64_t first, int64_t count, int64_t width,
               int threads) {
  parallel_for(count, 1, threads, [&](int, int64_t begin, int64_t end) {
    for_pieces(end - begin, width, [&](int64_t y, int64_t x, int64_t pixels) {
      uint16_t weights[(kMaxRegions + 1) * kPiece];
      grid.shares(first + begin + y, x, pixels, weights);
      const uint16_t* rest = weights + int64_t(grid.parts() - 1) * pixels;
      const int64_t at = 3 * ((begin + y) * width + x);
      for_weights(rest, pixels, [&](int share, int64_t left, int64_t right) {
        for (int64_t i = at + 3 * left; i < at + 3 * right; i++)
          result[i] = uint8_t((share * content[i] + (kFull - share) * result[i] + kFull / 2) >> 8);
      });
    });
  });
}

struct Recoloring::State {
  const RowIO& io;
  ColorStep& step;
  TemporaryStorage storage;
  int64_t written = 0;  // rows
};

Recoloring::Recoloring(const RowIO& io, ColorStep& step, const std::string& folder)
    : state_(new State{io, step, {checked_multiply(checked_multiply(uint64_t(io.height), uint64_t(io.width)), 3), folder}}) {}

Recoloring::~Recoloring() = default;

RowIO Recoloring::before() const {
  State& state = *state_;
  const RowIO& after = state.io;
  return {after.height,
          after.width,
          [&after](int64_t first, int64_t count, uint8_t* rows) { after.read(first, count, rows); },
          [&state](const uint8_t* rows, int64_t count) {
            const uint64_t row = 3 * uint64_t(state.io.width);
            state.step.add(rows, state.written, count, state.io.threads);
            state.storage.write(uint64_t(state.written) * row, rows, uint64_t(count) * row);
            state.written += count;
          },
          [&after](double part) { after.tell(part); },
          after.threads};
}

void Recoloring::finish() {
  const RowIO& io = state_->io;
  state_->step.settle();
  const int64_t row_bytes = 3 * io.width, together = std::clamp<int64_t>(kBandBytes / row_bytes, 1, io.height);
  Buffer band(size_t(row_bytes * together));
  for (int64_t top = 0; top < io.height; top += together) {
    const int64_t count = std::min(together, io.height - top);
    state_->storage.read(uint64_t(top * row_bytes), band.data(), uint64_t(count * row_bytes));
    state_->step.apply(band.data(), top, count, io.threads);
    io.write(band.data(), count);
  }
}

}  // namespace fastnst
