#include "engine/convolution.h"

#include <algorithm>
#include <cstring>
#include <stdexcept>

#include "base/checked.h"

namespace fastnst {
namespace {

// Pixels of a picture that are computed together: 5 x 3 channels fill 15 of a block's 16 lanes.
constexpr int kPictureRun = 5;

int lanes_of(int channels) { return int(round_up(channels, kLanes)); }

}  // namespace

GraphMap::GraphMap(const MapKind& kind, int64_t height, int64_t width, std::optional<int64_t> rows)
    : height(height),
      width(width),
      pixel(kind.tight ? 3 : lanes_of(kind.channels)),
      border(kind.border),
      wide(kind.wide),
      row_bytes((width + 2 * border) * pixel),
      first(-border),
      rows(rows.value_or(height + 2 * border)) {
  if (!wide) return;
  // Whole runs of pixels are written, and the lane after the last one.
  if (kind.tight) row_bytes = round_up(width, kPictureRun) * pixel + kLanes;
  row_bytes *= sizeof(int16_t);
}

uint64_t GraphMap::bytes() const {
  const uint64_t overread = wide ? 0 : uint64_t(pixel) * kPictureRun * (kOverread + 2);
  return uint64_t(round_up(int64_t(checked_add(checked_multiply(uint64_t(rows), uint64_t(row_bytes)), overread + 128)), 64));
}

void GraphMap::place(uint8_t* memory) { origin = memory + (wide ? 0 : round_up(border * (row_bytes + pixel), 64)); }

void GraphMap::slide(int64_t from, int64_t end, int64_t until) {
  if (from < first || end - first > rows || until - from > rows)
    throw std::logic_error("a band that leaves the window of a map");
  uint8_t* const memory = row(first) - border * pixel;  // only maps of bytes have borders
  std::memmove(memory, row(from) - border * pixel, size_t(std::max<int64_t>(end - from, 0) * row_bytes));
  origin -= (from - first) * row_bytes;
  first = from;
}

void GraphMap::fill_border(int64_t y, const MapKind& kind) const {
  if (border == 0) return;
  const bool constant = kind.kind == Edges::constant;
  // How far within the edge lies what is `b` pixels beyond it.
  const auto inside = [&](int64_t b) { return kind.kind == Edges::reflected ? b : 0; };
  uint8_t* const whole = row(y) - border * pixel;
  for (int64_t b = 1; b <= border; b++) {
    uint8_t *const left = row(y) - b * pixel, *const right = row(y) + (width - 1 + b) * pixel;
    if (constant) {
      std::memset(left, kind.outside, size_t(pixel));
      std::memset(right, kind.outside, size_t(pixel));
    } else {
      std::memcpy(left, row(y) + inside(b) * pixel, size_t(pixel));
      std::memcpy(right, row(y) + (width - 1 - inside(b)) * pixel, size_t(pixel));
    }
  }
  for (int64_t b = 1; b <= border; b++) {
    const auto fill = [&](int64_t target) {
      if (target < first) return;
      uint8_t* to = row(target) - border * pixel;
      if (constant)
        std::memset(to, kind.outside, size_t(row_bytes));
      else
        std::memcpy(to, whole, size_t(row_bytes));
    };
    if (y == inside(b)) fill(-b);
    if (y == height - 1 - inside(b)) fill(height - 1 + b);
  }
}

PackedConvolution::PackedConvolution(const Convolution& node, const MapKind& source, const MapKind& target)
    : form_(node.form), stride_(node.stride), run_(target.tight ? kPictureRun : 1) {
  const int64_t pixel = GraphMap(source, 1, 1).pixel;
  if (form_ == Form::depthwise)
    pack_depthwise(node);
  else if (form_ == Form::full)
    phases_.push_back(pack_full(node, pixel));
  else
    for (int phase = 0; phase < 4; phase++) phases_.push_back(pack_transposed(node, pixel, phase / 2, phase % 2));
}

PackedConvolution::Phase PackedConvolution::pack_full(const Convolution& node, int64_t pixel) const {
  const int k = node.kernel, lanes = run_ > 1 ? kLanes : lanes_of(node.outputs);
  PackedWeights packed(k, (k + run_ - 1) * int(pixel), lanes);
  for (int lane = 0; lane < run_ * node.outputs; lane++) {
    const int output = lane % node.outputs, shift = lane / node.outputs;
    packed.set_output(lane, node.bias[output], node.multiplier[output]);
    for (int ky = 0; ky < k; ky++)
      for (int kx = 0; kx < k; kx++)
        packed.set_weights(lane, ky, (shift + kx) * int(pixel),
                           node.weights.data() + ((size_t(output) * k + ky) * k + kx) * node.inputs, node.inputs);
  }
  packed.finish(true);
  return {std::move(packed), node.reach(), node.reach()};
}

PackedConvolution::Phase PackedConvolution::pack_transposed(const Convolution& node, int64_t pixel, int row, int column) const {
  // Input pixel i adds tap k to output pixel 2 i - 1 + k: an output of parity p meets every other tap, the later ones first.
  struct Taps {
    std::vector<int> taps;
    int before;  // pixels from the output's own input back to the first
  };
  const auto taps_of = [&](int parity) {
    Taps met{{}, 0};
    for (int k = node.kernel - 1; k >= 0; k--)
      if ((k + parity) % 2 == 1) met.taps.push_back(k);
    met.before = (met.taps.front() - 1 - parity) / 2;
    return met;
  };
  const Taps rows = taps_of(row), columns = taps_of(column);
  PackedWeights packed(int(rows.taps.size()), int(columns.taps.size()) * int(pixel), lanes_of(node.outputs));
  for (int o = 0; o < node.outputs; o++) {
    packed.set_output(o, node.bias[size_t(2 * row + column) * node.outputs + o], node.multiplier[o]);
    for (size_t y = 0; y < rows.taps.size(); y++)
      for (size_t x = 0; x < columns.taps.size(); x++) {
        const size_t tap = (size_t(o) * node.kernel + rows.taps[y]) * node.kernel + columns.taps[x];
        packed.set_weights(o, int(y), int(x) * int(pixel), node.weights.data() + tap * node.inputs, node.inputs);
      }
  }
  packed.finish(true);
  return {std::move(packed), rows.before, columns.before};
}

void PackedConvolution::pack_depthwise(const Convolution& node) {
  const int lanes = lanes_of(node.outputs);
  depthwise_.resize(size_t(lanes) * 12), bias_.resize(lanes), multiplier_.resize(lanes);
  for (int c = 0; c < node.outputs; c++) {
    bias_[c] = node.bias[c], multiplier_[c] = node.multiplier[c];
    for (int ky = 0; ky < 3; ky++)
      for (int kx = 0; kx < 3; kx++)
        depthwise_[((size_t(c / kLanes) * 3 + kx) * kLanes + c % kLanes) * 4 + ky] = node.weights[(c * 3 + ky) * 3 + kx];
  }
}

void PackedConvolution::run_row(const GraphMap& source, const GraphMap& target, int64_t y) const {
  if (form_ == Form::depthwise) return run_depthwise(source, target, y);
  constexpr int64_t kNumber = sizeof(int16_t);
  ConvRow row{};
  row.source_row = source.row_bytes, row.writes = Numbers::words;
  const auto run = [&](const Phase& phase, int64_t from_row) {
    phase.weights.put(row);
    row.source = source.row(from_row - phase.above) - phase.left * source.pixel;
    kernels().conv_row(row);
  };
  if (form_ == Form::full) {
    row.source_pixel = run_ * stride_ * source.pixel;
    row.target = target.row(y), row.target_pixel = run_ * target.pixel * kNumber;
    row.pixels = (target.width + run_ - 1) / run_;
    return run(phases_[0], y * stride_);
  }
  row.source_pixel = source.pixel, row.target_pixel = 2 * target.pixel * kNumber, row.pixels = source.width;
  for (int parity = 0; parity < 2; parity++) {
    row.target = target.row(y) + parity * target.pixel * kNumber;
    run(phases_[2 * (y & 1) + parity], y / 2);
  }
}

void PackedConvolution::run_depthwise(const GraphMap& source, const GraphMap& target, int64_t y) const {
  DepthwiseRow row{};
  row.source = source.row(y - 1) - source.pixel, row.source_row = source.row_bytes;
  row.weights = depthwise_.data(), row.bias = bias_.data(), row.multiplier = multiplier_.data();
  row.target = target.wide_row(y), row.pixels = target.width, row.channels = target.pixel;
  kernels().depthwise_row(row);
}

}  // namespace fastnst
