#include "engine/regions.h"

#include <algorithm>
#include <cstdlib>
#include <stdexcept>
#include <string>
#include <utility>

#include "base/parallel.h"

namespace fastnst {
namespace {

constexpr int64_t kChunk = 64;  // cells at a time
constexpr int64_t kTaps = 1 << 15;

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

}  // namespace

Mask::Mask(int64_t height, int64_t width, const uint8_t* values) : height(height), width(width) {
  if (height < 1 || width < 1 || height > kMaxMask || width > kMaxMask)
    throw std::invalid_argument("the sides of a mask must be 1 to " + std::to_string(kMaxMask) + " pixels");
  this->values.assign(values, values + height * width);
}

RegionGrid::Axis RegionGrid::axis(int64_t side, int64_t step, int64_t pixels) {
  Axis axis;
  const int64_t half = 2 * std::max(side, step * pixels);
  std::vector<int64_t> weights;
  for (int64_t cell = 0; cell * step < side; cell++) {
    const int64_t centre = (2 * cell + 1) * step * pixels;
    const auto weight = [&](int64_t pixel) { return half - std::abs((2 * pixel + 1) * side - centre); };
    int64_t first = std::clamp<int64_t>((centre - half) / (2 * side) - 1, 0, pixels - 1), sum = 0;
    while (weight(first) <= 0) first++;
    weights.clear();
    for (int64_t pixel = first; pixel < pixels && weight(pixel) > 0; pixel++) {
      weights.push_back(weight(pixel));
      sum += weights.back();
    }
    axis.first.push_back(int32_t(first));
    axis.start.push_back(int32_t(axis.taps.size()));
    axis.taps.resize(axis.taps.size() + weights.size());
    shared(weights.data(), axis.taps.data() + axis.start.back(), 1, int64_t(weights.size()), sum, kTaps);
  }
  axis.start.push_back(int32_t(axis.taps.size()));
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

void RegionGrid::cover(const Scaled& scaled, int64_t y, int64_t x, int64_t count, uint16_t* weights) const {
  const auto& [mask, same, rows, columns] = scaled;
  if (same) {  // what the arithmetic below comes to
    const uint8_t* from = mask->values.data() + y * mask->width + x;
    for (int64_t i = 0; i < count; i++) weights[i] = uint16_t(from[i] + (from[i] >> 7));
    return;
  }
  const int64_t first = columns.first[size_t(x)], pixels = columns.end(x + count - 1) - first;
  uint32_t sums[kMaxMask];
  std::fill_n(sums, pixels, uint32_t(1 << 6));
  for (int64_t row = rows.first[size_t(y)], tap = rows.start[size_t(y)]; row < rows.end(y); row++, tap++) {
    const uint32_t by = rows.taps[size_t(tap)];
    const uint8_t* from = mask->values.data() + row * mask->width + first;
    for (int64_t i = 0; i < pixels; i++) sums[i] += by * from[i];
  }
  for (int64_t i = 0; i < pixels; i++) sums[i] >>= 7;
  if (std::all_of(sums, sums + pixels, [&](uint32_t sum) { return sum == sums[0]; })) {  // what the taps make of it, too
    std::fill_n(weights, count, uint16_t((sums[0] + 127) / 255));
    return;
  }
  for (int64_t i = 0; i < count; i++) {
    const size_t cell = size_t(x + i);
    const uint32_t* from = sums + (columns.first[cell] - first);
    uint32_t sum = 1 << 14;
    for (int32_t tap = columns.start[cell]; tap < columns.start[cell + 1]; tap++) sum += columns.taps[size_t(tap)] * *from++;
    weights[i] = uint16_t(((sum >> 15) + 127) / 255);
  }
}

void RegionGrid::shares(int64_t y, int64_t x, int64_t count, uint16_t* weights) const {
  const size_t masks = regions_.masks.size();
  for (int64_t done = 0; done < count; done += kChunk)
    for (size_t i = 0; i < masks; i++)
      cover(scaled_[i], y, x + done, std::min(kChunk, count - done), weights + int64_t(i) * count + done);
  for (int64_t cell = 0; cell < count; cell++) {
    int64_t sum = 0;
    for (size_t i = 0; i < masks; i++) sum += weights[int64_t(i) * count + cell];
    if (sum > kFull) shared(weights + cell, weights + cell, count, int64_t(masks), sum, kFull);
    weights[int64_t(masks) * count + cell] = uint16_t(kFull - std::min<int64_t>(sum, kFull));
  }
}

void RegionGrid::painted(int64_t y, int64_t x, int64_t count, uint16_t* weights) const {
  const int64_t masks = int64_t(regions_.masks.size());
  uint16_t* const content = weights + (masks + 1) * count;
  shares(y, x, count, weights);
  std::fill_n(content, count, uint16_t(regions_.strength ? 0 : kFull));
  if (regions_.strength)
    for (int64_t done = 0; done < count; done += kChunk)
      cover(scaled_.back(), y, x + done, std::min(kChunk, count - done), content + done);
  for (int64_t cell = 0; cell < count; cell++) {
    uint16_t* const own = weights + cell;
    int64_t sum = kFull - own[masks * count];
    if (!regions_.paints_rest) {
      if (sum > 0) shared(own, own, count, masks, sum, kFull), sum = kFull;
      own[masks * count] = 0;
    } else {
      sum = kFull;
    }
    const int64_t strength = content[cell];
    int64_t reached = 0, before = 0;
    if (strength < kFull)
      for (int64_t part = 0; part <= masks; part++) {
        reached += own[part * count];
        const int64_t now = (strength * reached + kFull / 2) >> 8;
        own[part * count] = uint16_t(now - before);
        before = now;
      }
    else
      before = sum;
    content[cell] = uint16_t(kFull - before);
  }
}

std::vector<uint16_t> RegionGrid::shares(int64_t y, int64_t x, int64_t height, int64_t width, int threads) const {
  const int64_t row = int64_t(parts()) * width;
  std::vector<uint16_t> weights(size_t(height * row));
  parallel_for(height, 4, threads, [&](int, int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; i++) shares(y + i, x, width, weights.data() + i * row);
  });
  return weights;
}

void Blend::add(const uint16_t* weights, const uint8_t* cells, int64_t first, int64_t count, int64_t stride) {
  for (int64_t cell = 0; cell < count; cell++) {
    uint16_t* const sums = sums_ + (first + cell) * stride;
    for (int64_t c = 0; c < stride; c++) sums[c] = uint16_t(sums[c] + weights[first + cell] * cells[cell * stride + c]);
  }
}

void Blend::take(uint8_t* to, int64_t bytes) const {
  for (int64_t i = 0; i < bytes; i++) to[i] = uint8_t(sums_[i] >> 8);
}

Codec::RowTransform blended(const RegionGrid& grid, std::vector<Codec::RowTransform> parts, int64_t stride) {
  return [&grid, parts = std::move(parts), stride](const uint8_t* from, uint8_t* to, int64_t cells, Place first) {
    const int64_t most = std::min(kChunk, Blend::kMost / stride);
    uint16_t weights[(kMaxRegions + 2) * kChunk];
    uint8_t made[Blend::kMost];
    Blend blend;
    for (int64_t done = 0, count = 0; done < cells; done += count) {
      count = std::min(most, cells - done);
      grid.painted(first.y, first.x + done, count, weights);
      const auto run = [&](size_t part, int64_t begin, int64_t end, uint8_t* target) {
        parts[part](from + (done + begin) * stride, target, end - begin, {first.y, first.x + done + begin});
      };
      for_runs(
          weights, parts.size(), count,
          [&](size_t part, int64_t begin, int64_t end) { run(part, begin, end, to + (done + begin) * stride); },
          [&](int64_t begin, int64_t end) {
            blend.begin((end - begin) * stride);
            for (size_t part = 0; part < parts.size(); part++) {
              const uint16_t* own = weights + int64_t(part) * count + begin;
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
