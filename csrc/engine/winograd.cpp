#include "engine/winograd.h"

#include <algorithm>
#include <cstdlib>

#include "base/checked.h"
#include "base/parallel.h"
#include "engine/network.h"

namespace fastnst {
namespace {

constexpr int64_t kUnit = 32768;  // what scales are relative to
constexpr int kHighest = 127;

int centre(bool upsample) { return upsample ? 4 : 5; }

// The quotient rounded to the nearest, halves away from 0.
template <typename Integer>
Integer nearest(Integer numerator, Integer denominator) {
  const Integer size = (2 * std::abs(numerator) + denominator) / (2 * denominator);
  return numerator < 0 ? -size : size;
}

// nearest(127 n / most), for n and most below 2^11: the quotient of numbers below 2^19 is off by less than 2^-17, and one that
// is no integer differs from any by 1 / (2 most) at least.
int8_t scaled(int n, int most) {
  const int size = int(float(2 * kHighest * std::abs(n) + most) / float(2 * most));
  return int8_t(n < 0 ? -size : size);
}

// What the positions of a line take of the numbers of a kernel's: three, one stride apart.
template <bool upsample>
void cross(const int* from, int stride, int* to, int step) {
  const int a = from[0], b = from[stride], c = from[2 * stride];
  to[0] = a, to[step] = a + b + c;
  if (!upsample) to[2 * step] = a - b + c;
  to[(upsample ? 2 : 3) * step] = c;
}

// Kernels [3][3][inputs] of one output into numbers [positions][inputs], before halving.
template <bool upsample>
void cross_kernel(const int8_t* kernel, int inputs, int* numbers) {
  constexpr int kSide = upsample ? 3 : 4;
  for (int i = 0; i < inputs; i++) {
    int taps[9], rows[kSide * 3], all[kSide * kSide];
    for (int t = 0; t < 9; t++) taps[t] = kernel[t * inputs + i];
    for (int x = 0; x < 3; x++) cross<upsample>(taps + x, 3, rows + x, 3);
    for (int y = 0; y < kSide; y++) cross<upsample>(rows + 3 * y, 1, all + kSide * y, 1);
    for (int p = 0; p < kSide * kSide; p++) numbers[p * inputs + i] = all[p];
  }
}

// The divisor that a position's kernel leaves to be done.
int half_of(int position, bool upsample) {
  if (upsample) return 1;
  const int row = position / 4, column = position % 4;
  return (row == 1 || row == 2 ? 2 : 1) * (column == 1 || column == 2 ? 2 : 1);
}

// Refuses a layer whose positions together could give outputs too large to be rounded.
void prove_outputs(const Layer& layer, const std::vector<int8_t>& weights, const std::vector<int32_t>& start,
                   const std::vector<float>& multiplier, const std::string& where) {
  const size_t outputs = size_t(layer.outputs), inputs = size_t(layer.inputs);
  for (size_t o = 0; o < outputs; o++) {
    double bound = 0;
    for (size_t at = o; at < start.size(); at += outputs) {
      int64_t sum = std::abs(int64_t(start[at]));
      for (size_t i = 0; i < inputs; i++) sum += 255 * std::abs(int(weights[at * inputs + i]));
      bound += double(sum) * multiplier[at];
    }
    if (!(bound < double(1 << 30))) refuse(where + ": a multiplier that could overflow the output");
  }
}

}  // namespace

void derive_positions(Layer& layer, const std::string& where) {
  for (const int16_t scale : layer.scales)
    if (scale < 1) refuse(where + ": a scale of Winograd's form below 1");
  const bool upsample = layer.upsample;
  const int count = positions(upsample), inputs = layer.inputs;
  const size_t outputs = size_t(layer.outputs);
  std::vector<int8_t> weights(size_t(count) * outputs * inputs);
  std::vector<int32_t> start(count * outputs);
  std::vector<float> multiplier(count * outputs);
  std::vector<int> numbers(size_t(count) * inputs);
  for (size_t o = 0; o < outputs; o++) {
    const int8_t* kernel = layer.weights.data() + o * 9 * inputs;
    if (upsample)
      cross_kernel<true>(kernel, inputs, numbers.data());
    else
      cross_kernel<false>(kernel, inputs, numbers.data());
    for (int p = 0; p < count; p++) {
      const int* n = numbers.data() + size_t(p) * inputs;
      int most = kHighest;
      for (int i = 0; i < inputs; i++) most = std::max(most, std::abs(n[i]));
      const size_t at = p * outputs + o;
      int sum = 0;
      for (int i = 0; i < inputs; i++) sum += weights[at * inputs + i] = scaled(n[i], most);
      const int64_t shrunk = int64_t(kHighest) * half_of(p, upsample) * layer.scales[p], grown = kUnit * most;
      const int64_t begin = p == centre(upsample) ? nearest(layer.bias[o] * shrunk, grown) : -128 * int64_t(sum);
      if (std::abs(begin) > INT32_MAX) refuse(where + ": a bias that could overflow the 32-bit accumulator");
      start[at] = int32_t(begin);
      multiplier[at] = float(double(layer.multiplier[o]) * double(grown) / double(shrunk));
    }
  }
  prove_outputs(layer, weights, start, multiplier, where);
  layer.weights = std::move(weights), layer.bias = std::move(start), layer.multiplier = std::move(multiplier);
}

PackedWinograd::PackedWinograd(const Layer& layer)
    : channels_(map_stride(layer.inputs)),
      upsample_(layer.upsample),
      pool_(layer.pool),
      zero_(layer.zero),
      scales_(layer.scales) {
  const int count = positions(upsample_);
  for (int first = 0, blocks = int(map_stride(layer.outputs)) / kLanes; blocks > 0;) {
    Group group{group_size(blocks) * kLanes, {}, {}};
    group.multiplier.resize(size_t(count) * group.lanes);
    for (int p = 0; p < count; p++) {
      PackedWeights packed(1, layer.inputs, group.lanes);
      for (int lane = 0; lane < std::min(group.lanes, layer.outputs - first); lane++) {
        const size_t stored = size_t(p) * layer.outputs + first + lane;
        packed.set_output(lane, layer.bias[stored], layer.multiplier[stored]);
        group.multiplier[size_t(p) * group.lanes + lane] = layer.multiplier[stored];
        packed.set_weights(lane, 0, 0, layer.weights.data() + stored * layer.inputs, layer.inputs);
      }
      packed.finish(p == centre(upsample_));  // other positions count from 128, and are seldom small
      group.weights.push_back(std::move(packed));
    }
    first += group.lanes, blocks -= group_size(blocks);
    groups_.push_back(std::move(group));
  }
}

uint64_t PackedWinograd::scratch_bytes() const {
  const int count = positions(upsample_);
  // One position more than there are: what kernels read beyond the last tile.
  const uint64_t windows = checked_multiply(uint64_t(count + 1), uint64_t(window_bytes()));
  const uint64_t sums = uint64_t(count) * kTiles * groups_.front().lanes * sizeof(int32_t);
  return round_up(int64_t(checked_add(windows, sums)), 64) + 64;
}

void PackedWinograd::run(const Map& source, const Map& target, uint8_t* scratch, int threads) const {
  const int64_t tiles = ((target.width + each() - 1) / each()) * ((target.height + each() - 1) / each());
  const int64_t batches = (tiles + kTiles - 1) / kTiles;
  const uint64_t own = scratch_bytes();
  const int64_t grain = std::max<int64_t>(1, batches / (16 * std::max(threads, 1)));
  parallel_for(batches, grain, threads, [&](int slot, int64_t begin, int64_t end) {
    for (int64_t first = begin * kTiles; first < std::min(end * kTiles, tiles); first += kTiles)
      run_tiles(source, target, first, std::min(kTiles, tiles - first), scratch + slot * own);
  });
}

void PackedWinograd::run_tiles(const Map& source, const Map& target, int64_t first, int64_t count, uint8_t* scratch) const {
  const int64_t across = (target.width + each() - 1) / each();
  const auto for_runs = [&](auto&& body) {
    for (int64_t done = 0; done < count;) {
      const int64_t row = (first + done) / across, column = (first + done) % across;
      const Run run{row, column, done, std::min(count - done, across - column)};
      body(run);
      done += run.count;
    }
  };
  for_runs([&](const Run& run) { take_windows(source, run, scratch); });
  const int count_positions = positions(upsample_);
  int32_t* const sums = reinterpret_cast<int32_t*>(scratch + round_up((count_positions + 1) * window_bytes(), 64));
  int64_t offset = 0;
  for (const Group& group : groups_) {
    for (int p = 0; p < count_positions; p++) {
      ConvRow row{};
      group.weights[p].put(row);
      row.source = scratch + p * window_bytes(), row.source_pixel = channels_, row.pixels = count;
      row.writes = Numbers::sums, row.target_pixel = group.lanes * int64_t(sizeof(int32_t));
      row.target = reinterpret_cast<uint8_t*>(sums + p * kTiles * group.lanes);
      kernels().conv_row(row);
    }
    for_runs([&](const Run& run) { put_outputs(group, source, target, run, sums, offset); });
    offset += group.lanes;
  }
}

void PackedWinograd::take_windows(const Map& source, const Run& run, uint8_t* windows) const {
  const int side = upsample_ ? 3 : 4, step = upsample_ ? 1 : 2;
  WindowRow row{};
  row.upsample = upsample_, row.channels = channels_, row.scales = scales_.data();
  for (int r = 0; r < side; r++)  // a window that sticks out below counts for outputs that are cut off
    row.rows[r] = source.row(std::min(step * run.row - 1 + r, source.height)) + (step * run.column - 1) * channels_;
  row.target = windows + run.first * channels_, row.position = window_bytes(), row.tiles = run.count;
  kernels().window_row(row);
}

void PackedWinograd::put_outputs(const Group& group, const Map& source, const Map& target, const Run& run, const int32_t* sums,
                                 int64_t offset) const {
  OutputRow row{};
  row.upsample = upsample_, row.pool = pool_ != Pool::none, row.lanes = group.lanes, row.zero = zero_;
  row.multiplier = group.multiplier.data(), row.position = kTiles * group.lanes;
  row.target_pixel = target.stride, row.target_row = target.row_bytes();
  row.rows = 2 * run.row + 1 < source.height ? 2 : 1;
  // Where sides are rounded up, the last column of an odd map is pooled alone.
  const bool alone = pool_ == Pool::ceil && 2 * (run.column + run.count) > source.width;
  const auto put = [&](int64_t first, int64_t count, int columns) {
    if (count == 0) return;
    row.sums = sums + (run.first + first) * group.lanes, row.tiles = count, row.columns = columns;
    row.target = target.row(each() * run.row) + each() * (run.column + first) * target.stride + offset;
    kernels().output_row(row);
  };
  put(0, run.count - alone, 2);
  put(run.count - alone, alone, 1);
}

}  // namespace fastnst
