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

// Rows of a picture in pieces whose weights are computed together, in ranges for several threads.
class Pieces {
 public:
  // `most`: pixels of a piece.
  Pieces(int64_t rows, int64_t width, int64_t most) : rows_(rows), width_(width), most_(most) {}

  // Calls range(each), from several threads; each(piece) then calls piece(y, x, pixels) for all pieces of a range.
  template <typename Range>
  void run(int threads, Range&& range) const {
    const int64_t across = (width_ + most_ - 1) / most_;
    parallel_for(rows_ * across, kGrain / kMostCells, threads, [&](int, int64_t begin, int64_t end) {
      range([&](auto&& piece) {
        for (int64_t i = begin; i < end; i++) {
          const int64_t x = i % across * most_;
          piece(i / across, x, std::min(most_, width_ - x));
        }
      });
    });
  }

 private:
  int64_t rows_, width_, most_;
};

// What leaves colours as they are.
constexpr ColorMap kSame{{{1 << kColorBits, 0, 0}, {0, 1 << kColorBits, 0}, {0, 0, 1 << kColorBits}}, {0, 0, 0}};

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
    uint64_t own[kColorSums] = {};
    kernels().color_sums(rgb + 3 * begin, end - begin, own);
    own[9] = uint64_t(end - begin);
    const std::lock_guard<std::mutex> lock(mutex);
    add(own, 1);
  });
}

void ColorSums::add(const uint64_t* sums, uint64_t times) {
  for (size_t i = 0; i < 9; i++) sums_[i] += Exact(times) * sums[i];
  count_ += times * sums[9];
}

void ColorSums::subtract(const ColorSums& others) {
  for (size_t i = 0; i < 9; i++) sums_[i] -= others.sums_[i];
  count_ -= others.count_;
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
    : palettes_(std::move(palettes)), grid_(grid), width_(width), sums_(palettes_.size()), maps_(palettes_.size() + 1, kSame) {
  if (palettes_.size() != (grid == nullptr ? 1 : grid->parts()))
    throw std::invalid_argument("there must be one palette for each region and the rest");
}

void PaletteStep::add(const uint8_t* rows, int64_t first, int64_t count, int threads) {
  if (grid_ == nullptr) return sums_.front().add(rows, count * width_, threads);
  const size_t masks = sums_.size() - 1;
  std::mutex mutex;
  Pieces(count, width_, CellWeights(masks + 1).stride).run(threads, [&](auto&& each) {
    uint64_t whole[kMaxRegions + 1][kColorSums] = {};    // of pixels that belong to one part alone
    uint64_t blended[kMaxRegions + 1][kColorSums] = {};  // of others, as weigh_colors has them
    each([&](int64_t y, int64_t x, int64_t pixels) {
      CellWeights weights(masks + 1);
      const uint8_t* rgb = rows + 3 * (y * width_ + x);
      if (const RegionGrid::Owner owner = grid_->shares(first + y, x, pixels, weights); owner != RegionGrid::kSeveral) {
        kernels().color_sums(rgb, pixels, whole[owner]);
        whole[owner][9] += uint64_t(pixels);
      } else {
        kernels().weigh_colors(rgb, pixels, {weights.of(0), weights.stride, masks}, blended[0]);
      }
    });
    const std::lock_guard<std::mutex> lock(mutex);
    sums_[masks].add(blended[0], kFull);
    for (size_t part = 0; part <= masks; part++) {
      sums_[masks].add(whole[part], kFull);
      if (part == masks) break;
      sums_[part].add(whole[part], kFull);
      sums_[part].add(blended[1 + part], 1);
    }
  });
}

void PaletteStep::settle() {
  for (size_t mask = 0; mask + 1 < sums_.size(); mask++) sums_.back().subtract(sums_[mask]);
  for (size_t part = 0; part < palettes_.size(); part++) {
    if (palettes_[part].strength > 0 && !sums_[part].empty())
      maps_[part] = color_map(sums_[part].colors(), palettes_[part].colors, palettes_[part].strength);
    else
      palettes_[part].strength = 0;
  }
}

void PaletteStep::apply(uint8_t* rows, int64_t first, int64_t count, int threads) const {
  const auto changes = [&](size_t part) { return part < palettes_.size() && palettes_[part].strength > 0; };
  if (grid_ == nullptr) {
    if (changes(0)) map_colors(maps_.front(), rows, count * width_, threads);
    return;
  }
  Pieces(count, width_, CellWeights(maps_.size()).stride).run(threads, [&](auto&& each) {
    each([&](int64_t y, int64_t x, int64_t pixels) {
      CellWeights weights(maps_.size());
      uint8_t* rgb = rows + 3 * (y * width_ + x);
      const RegionGrid::Owner owner = grid_->painted(first + y, x, pixels, weights);
      if (owner == RegionGrid::kSeveral)
        kernels().blend_colors(maps_.data(), {weights.of(0), weights.stride, maps_.size()}, rgb, pixels);
      else if (changes(owner))
        kernels().map_colors(maps_[owner], rgb, pixels);
    });
  });
}

void keep_rest(const RegionGrid& grid, const uint8_t* content, uint8_t* result, int64_t first, int64_t count, int64_t width,
               int threads) {
  const size_t rest = grid.parts() - 1;
  Pieces(count, width, CellWeights(grid.parts()).stride).run(threads, [&](auto&& each) {
    each([&](int64_t y, int64_t x, int64_t pixels) {
      CellWeights weights(rest + 1);
      const int64_t at = 3 * (y * width + x);
      const RegionGrid::Owner owner = grid.shares(first + y, x, pixels, weights);
      if (owner != RegionGrid::kSeveral && owner != rest) return;
      for (int64_t i = 0; i < pixels; i++)
        for (int64_t c = at + 3 * i; c < at + 3 * (i + 1); c++) {
          const int share = weights.of(rest)[i];
          result[c] = uint8_t((share * content[c] + (kFull - share) * result[c] + kFull / 2) >> 8);
        }
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
