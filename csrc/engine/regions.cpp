#include "engine/regions.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <stdexcept>
#include <string>
#include <utility>

#include "base/checked.h"
#include "base/parallel.h"
#include "engine/kernels/kernels.h"

namespace fastnst {
namespace {

constexpr int64_t kTaps = 1 << 15;
// Cells go by so many: a count that compilers know, who then need no other loop for the last ones.
constexpr int64_t kTogether = 16;

// Makes `count` numbers, `step` apart, whose sum is above 0, integers whose sum is `whole`: the differences of the rounded sums
// of all up to each.
template <typename From, typename To>
void shared(const From* numbers, To* shares, ptrdiff_t step, int64_t count, int64_t sum, int64_t whole) {
  int64_t reached = 0, before = 0;
  for (int64_t i = 0; i < count; i++) {
    reached += int64_t(numbers[i * step]);
    const int64_t now = (2 * whole * reached + sum) / (2 * sum);
    shares[i * step] = To(now - before);
    before = now;
  }
}

template <typename Number>
bool all_same(const Number* numbers, int64_t count) {
  return std::memcmp(numbers, numbers + 1, size_t(count - 1) * sizeof(Number)) == 0;
}

// The loops over cells, whose number is a multiple of kTogether.

template <typename Number>
void add_times(uint32_t* __restrict sums, uint16_t by, const Number* __restrict numbers, int64_t count) {
  for (int64_t begin = 0; begin < count; begin += kTogether, sums += kTogether, numbers += kTogether)
    for (int64_t i = 0; i < kTogether; i++) sums[i] += uint32_t(by) * uint16_t(numbers[i]);
}

void add_products(uint32_t* __restrict sums, const uint16_t* __restrict a, const uint16_t* __restrict b, int64_t count) {
  for (int64_t begin = 0; begin < count; begin += kTogether, sums += kTogether, a += kTogether, b += kTogether)
    for (int64_t i = 0; i < kTogether; i++) sums[i] += uint32_t(a[i]) * b[i];
}

void as_weights(const uint32_t* __restrict sums, uint16_t* __restrict weights, int64_t count) {
  for (int64_t begin = 0; begin < count; begin += kTogether, sums += kTogether, weights += kTogether)
    for (int64_t i = 0; i < kTogether; i++) weights[i] = uint16_t(uint16_t((sums[i] >> 15) + 127) / 255);
}

void as_weights(const uint8_t* __restrict values, uint16_t* __restrict weights, int64_t count) {
  for (int64_t begin = 0; begin < count; begin += kTogether, values += kTogether, weights += kTogether)
    for (int64_t i = 0; i < kTogether; i++) weights[i] = uint16_t(values[i] + (values[i] >> 7));
}

// Takes weights from what is left; whether anything becomes negative.
bool subtract(int16_t* __restrict left, const uint16_t* __restrict weights, int64_t count) {
  int16_t signs = 0;
  for (int64_t begin = 0; begin < count; begin += kTogether, left += kTogether, weights += kTogether)
    for (int64_t i = 0; i < kTogether; i++) left[i] = int16_t(left[i] - weights[i]), signs |= left[i];
  return signs < 0;
}

// Makes the weights of a part the differences of (strength * sum + 128) >> 8, where `reached` is the sum of those before it.
void weaken(const uint16_t* __restrict strength, uint16_t* __restrict reached, uint16_t* __restrict before,
            uint16_t* __restrict weights, int64_t count) {
  for (int64_t at = 0; at < count;
       at += kTogether, strength += kTogether, reached += kTogether, before += kTogether, weights += kTogether)
    for (int64_t i = 0; i < kTogether; i++) {
      reached[i] = uint16_t(reached[i] + weights[i]);
      const uint16_t now = uint16_t((uint32_t(strength[i]) * reached[i] + kFull / 2) >> 8);
      weights[i] = uint16_t(now - before[i]), before[i] = now;
    }
}

}  // namespace

Mask::Mask(int64_t height, int64_t width, const uint8_t* values) : height(height), width(width) {
  if (height < 1 || width < 1 || height > kMaxMask || width > kMaxMask)
    throw std::invalid_argument("the sides of a mask must be 1 to " + std::to_string(kMaxMask) + " pixels");
  this->values.reserve(size_t(height * width + kTogether));
  this->values.assign(values, values + height * width);
  this->values.resize(size_t(height * width + kTogether));
}

RegionGrid::Axis RegionGrid::axis(int64_t side, int64_t step, int64_t pixels) {
  const int64_t cells = (side + step - 1) / step, half = 2 * std::max(side, step * pixels);
  Axis axis;
  axis.stride = cells + kTogether - 1;
  axis.first.resize(size_t(axis.stride));
  std::vector<uint16_t> all;    // taps, one cell's after the other's
  std::vector<uint32_t> start;  // of a cell's taps; one more at the end
  std::vector<int64_t> weights;
  for (int64_t cell = 0; cell < cells; cell++) {
    const int64_t centre = (2 * cell + 1) * step * pixels;
    const auto weight = [&](int64_t pixel) { return half - std::abs((2 * pixel + 1) * side - centre); };
    int64_t first = std::clamp<int64_t>((centre - half) / (2 * side) - 1, 0, pixels - 1), sum = 0;
    while (weight(first) <= 0) first++;
    weights.clear();
    for (int64_t pixel = first; pixel < pixels && weight(pixel) > 0; pixel++) {
      weights.push_back(weight(pixel));
      sum += weights.back();
    }
    axis.first[size_t(cell)] = int32_t(first);
    start.push_back(uint32_t(all.size()));
    all.resize(all.size() + weights.size());
    shared(weights.data(), all.data() + start.back(), 1, int64_t(weights.size()), sum, kTaps);
    axis.width = std::max(axis.width, int64_t(weights.size()));
  }
  start.push_back(uint32_t(all.size()));
  axis.taps.resize(size_t(axis.width * axis.stride));
  for (int64_t cell = 0; cell < cells; cell++) {  // of as many pixels each, none beyond the mask
    int32_t& first = axis.first[size_t(cell)];
    const int32_t moved = std::min(first, int32_t(pixels - axis.width));
    for (size_t i = start[size_t(cell)]; i < start[size_t(cell) + 1]; i++)
      axis.taps[size_t(first - moved + int64_t(i - start[size_t(cell)])) * size_t(axis.stride) + size_t(cell)] = all[i];
    first = moved;
  }
  std::fill(axis.first.begin() + cells, axis.first.end(), axis.first[size_t(cells - 1)]);
  return axis;
}

void check_region_count(size_t count) {
  if (count > kMaxRegions) throw std::invalid_argument("there may be at most " + std::to_string(kMaxRegions) + " regions");
}

RegionGrid::RegionGrid(const Regions& regions, int64_t height, int64_t width, int64_t step) : regions_(regions) {
  check_region_count(regions.masks.size());
  const auto add = [&](const Mask& mask) {
    const bool same = step == 1 && mask.height == height && mask.width == width;
    scaled_.push_back({&mask, same, axis(height, step, mask.height), axis(width, step, mask.width)});
  };
  for (const Mask& mask : regions.masks) add(mask);
  if (regions.strength) add(*regions.strength);
}

int RegionGrid::cover(const Scaled& scaled, int64_t y, int64_t x, int64_t count, uint16_t* weights) {
  const auto& [mask, same, rows, columns] = scaled;
  const int64_t cells = round_up(count, kTogether);
  if (same) {  // what the arithmetic below comes to
    const uint8_t* from = mask->values.data() + y * mask->width + x;
    as_weights(from, weights, cells);
    return all_same(from, count) ? weights[0] : -1;
  }
  const int64_t first = columns.first[size_t(x)], pixels = columns.first[size_t(x + cells - 1)] + columns.width - first;
  uint32_t sums[kMaxMask + kTogether];
  std::fill_n(sums, pixels + kTogether, uint32_t(1 << 6));
  for (int64_t tap = 0; tap < rows.width; tap++) {
    const uint8_t* from = mask->values.data() + (rows.first[size_t(y)] + tap) * mask->width + first;
    add_times(sums, rows.taps[size_t(tap * rows.stride + y)], from, round_up(pixels, kTogether));
  }
  for (int64_t i = 0; i < pixels; i++) sums[i] >>= 7;
  if (all_same(sums, pixels)) {  // what the taps make of it, too
    std::fill_n(weights, cells, uint16_t((sums[0] + 127) / 255));
    return weights[0];
  }
  uint32_t totals[kMostCells];
  uint16_t picked[kMostCells];
  std::fill_n(totals, cells, uint32_t(1 << 14));
  for (int64_t tap = 0; tap < columns.width; tap++) {
    const int32_t* at = columns.first.data() + x;
    const uint32_t* from = sums + tap - first;
    for (int64_t i = 0; i < cells; i++) picked[i] = uint16_t(from[at[i]]);
    add_products(totals, columns.taps.data() + tap * columns.stride + x, picked, cells);
  }
  as_weights(totals, weights, cells);
  return -1;
}

RegionGrid::Owner RegionGrid::shares(int64_t y, int64_t x, int64_t count, CellWeights& weights) const {
  const size_t masks = regions_.masks.size();
  const int64_t cells = round_up(count, kTogether);
  int16_t left[kMostCells];  // of each cell
  std::fill_n(left, cells, int16_t(kFull));
  bool over = false;
  Owner owner = masks;
  for (size_t i = 0; i < masks; i++) {
    const int all = cover(scaled_[i], y, x, count, weights.of(i));
    if (all == 0) continue;
    owner = all == kFull && owner == masks ? i : kSeveral;
    over |= subtract(left, weights.of(i), cells);
  }
  for (int64_t cell = 0; over && cell < cells; cell++) {
    if (left[cell] >= 0) continue;
    shared(weights.of(0) + cell, weights.of(0) + cell, weights.stride, int64_t(masks), kFull - left[cell], kFull);
    left[cell] = 0;
  }
  std::copy_n(left, cells, weights.of(masks));
  return owner;
}

RegionGrid::Owner RegionGrid::painted(int64_t y, int64_t x, int64_t count, CellWeights& weights) const {
  const size_t masks = regions_.masks.size();
  const int64_t cells = round_up(count, kTogether);
  uint16_t *const rest = weights.of(masks), *const content = weights.of(masks + 1);
  Owner owner = shares(y, x, count, weights);
  std::fill_n(content, cells, uint16_t(0));
  if (!regions_.paints_rest) {
    if (owner == masks) owner = masks + 1;
    for (int64_t cell = 0; cell < cells; cell++) {
      const int64_t sum = kFull - rest[cell];
      if (sum == 0)
        content[cell] = kFull;
      else if (sum < kFull)
        shared(weights.of(0) + cell, weights.of(0) + cell, weights.stride, int64_t(masks), sum, kFull);
      rest[cell] = 0;
    }
  }
  if (!regions_.strength) return owner;
  uint16_t strength[kMostCells], reached[kMostCells] = {}, before[kMostCells] = {};
  const int all = cover(scaled_.back(), y, x, count, strength);
  if (all == kFull) return owner;
  for (size_t part = 0; part <= masks; part++) weaken(strength, reached, before, weights.of(part), cells);
  for (int64_t cell = 0; cell < cells; cell++) content[cell] = uint16_t(kFull - before[cell]);
  return all == 0 || owner == masks + 1 ? masks + 1 : kSeveral;
}

std::vector<uint16_t> RegionGrid::shares(int64_t y, int64_t x, int64_t height, int64_t width, int threads) const {
  const int64_t row = int64_t(parts()) * width;
  std::vector<uint16_t> all(size_t(height * row));
  parallel_for(height, 4, threads, [&](int, int64_t begin, int64_t end) {
    CellWeights weights(parts());
    for (int64_t i = begin; i < end; i++)
      for (int64_t done = 0, count = 0; done < width; done += count) {
        count = std::min(weights.stride, width - done);
        shares(y + i, x + done, count, weights);
        for (size_t part = 0; part < parts(); part++)
          std::copy_n(weights.of(part), count, all.data() + i * row + int64_t(part) * width + done);
      }
  });
  return all;
}

uint64_t weigh_cells(const uint8_t* q, const uint16_t* weights, int64_t count, int64_t stride, uint64_t* sums,
                     uint64_t* squares) {
  constexpr int64_t kRun = 64;  // 256 * 255 * 255 * kRun < 2^32
  uint64_t total = 0;
  for (; count > 0; count -= kRun, q += kRun * stride, weights += kRun) {
    const int64_t cells = std::min(count, kRun);
    if (all_same(weights, cells)) {
      const uint64_t by = weights[0];
      total += by * uint64_t(cells);
      if (by == 0) continue;
      uint64_t own[2][kLanes] = {};
      kernels().sum_row(q, cells, stride, own[0], own[1]);
      for (int c = 0; c < kLanes; c++) sums[c] += by * own[0][c], squares[c] += by * own[1][c];
      continue;
    }
    uint32_t sum[kLanes] = {}, square[kLanes] = {};
    for (int64_t i = 0; i < cells; i++) {
      const uint8_t* from = q + i * stride;
      for (int c = 0; c < kLanes; c++) {
        const uint16_t times = uint16_t(weights[i] * from[c]);
        sum[c] += times, square[c] += uint32_t(times) * uint16_t(from[c]);
      }
      total += weights[i];
    }
    for (int c = 0; c < kLanes; c++) sums[c] += sum[c], squares[c] += square[c];
  }
  return total;
}

namespace {

// Blends bytes: add() those of each part, then take() them.
class Blend {
 public:
  static constexpr int64_t kMost = 4096;  // bytes

  void begin(int64_t bytes) { std::fill_n(sums_, bytes, uint16_t(kFull / 2)); }
  // `count` cells of `stride` bytes, a multiple of kTogether, from cell `first` on.
  void add(const uint16_t* weights, const uint8_t* __restrict cells, int64_t first, int64_t count, int64_t stride) {
    uint16_t* __restrict sums = sums_ + first * stride;
    for (int64_t cell = 0; cell < count; cell++) {
      const uint16_t by = weights[first + cell];
      for (int64_t c = 0; c < stride; c += kTogether, sums += kTogether, cells += kTogether)
        for (int64_t i = 0; i < kTogether; i++) sums[i] = uint16_t(sums[i] + by * cells[i]);
    }
  }
  void take(uint8_t* __restrict to, int64_t bytes) const {
    const uint16_t* from = sums_;
    for (int64_t begin = 0; begin < bytes; begin += kTogether, to += kTogether, from += kTogether)
      for (int64_t i = 0; i < kTogether; i++) to[i] = uint8_t(from[i] >> 8);
  }

 private:
  uint16_t sums_[kMost];  // at most 255 * kFull + kFull / 2
};

// Calls whole(part, begin, end) for cells that belong to one of `parts` alone, blended(begin, end) for others, in order.
template <typename Whole, typename Blended>
void for_runs(const CellWeights& weights, size_t parts, int64_t count, Whole&& whole, Blended&& blended) {
  const auto owner = [&](int64_t x) {
    size_t part = 0;
    while (part < parts && weights.of(part)[x] != kFull) part++;
    return part;
  };
  for (int64_t begin = 0, end = 0; begin < count; begin = end) {
    const size_t part = owner(begin);
    for (end = begin + 1; end < count && owner(end) == part;) end++;
    if (part < parts)
      whole(part, begin, end);
    else
      blended(begin, end);
  }
}

}  // namespace

Codec::RowTransform blended(const RegionGrid& grid, std::vector<Codec::RowTransform> parts, int64_t stride) {
  return [&grid, parts = std::move(parts), stride](const uint8_t* from, uint8_t* to, int64_t cells, Place first) {
    CellWeights weights(parts.size());
    const int64_t most = std::min(weights.stride, Blend::kMost / stride);
    uint8_t made[Blend::kMost];
    Blend blend;
    for (int64_t done = 0, count = 0; done < cells; done += count) {
      count = std::min(most, cells - done);
      const auto run = [&](size_t part, int64_t begin, int64_t end, uint8_t* target) {
        parts[part](from + (done + begin) * stride, target, end - begin, {first.y, first.x + done + begin});
      };
      const auto whole = [&](size_t part, int64_t begin, int64_t end) { run(part, begin, end, to + (done + begin) * stride); };
      if (const RegionGrid::Owner owner = grid.painted(first.y, first.x + done, count, weights);
          owner != RegionGrid::kSeveral) {
        whole(owner, 0, count);
        continue;
      }
      for_runs(weights, parts.size(), count, whole, [&](int64_t begin, int64_t end) {
        blend.begin((end - begin) * stride);
        for (size_t part = 0; part < parts.size(); part++) {
          const uint16_t* own = weights.of(part) + begin;
          for (int64_t at = 0, next = 0; at < end - begin; at = next) {
            for (next = at; next < end - begin && own[next] > 0;) next++;
            if (next > at) {
              run(part, begin + at, begin + next, made);
              blend.add(own, made, at, next - at, stride);
            }
            next += next == at;
          }
        }
        blend.take(to + (done + begin) * stride, (end - begin) * stride);
      });
    }
  };
}

}  // namespace fastnst
