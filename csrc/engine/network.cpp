#include "engine/network.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <limits>
#include <stdexcept>

#include "base/checked.h"
#include "base/parallel.h"
#include "engine/channel_order.h"
#include "engine/kernels/table.h"

namespace fastnst {
namespace {

// Pixels that a picture layer computes together: 5 x 3 channels fill 15 of a block's 16 lanes, and lie side by side in the
// picture just as they do in the block.
constexpr int kPictureRun = 5;

// Bytes that kernels may read beyond the last pixel's window (see kOverread), whatever layer reads the map.
uint64_t overread(int64_t stride) { return uint64_t(stride) * kPictureRun * (kOverread + 2) + 64; }

int64_t grain_of(int64_t height, int threads) {
  // Rows handed out at a time: pieces enough that a thread which lost its core for a while does not hold up the rest.
  return std::max<int64_t>(1, height / (8 * std::max(threads, 1)));
}

}  // namespace

int64_t map_stride(int channels) { return round_up(channels, kLanes); }

uint64_t map_bytes(int64_t height, int64_t width, int64_t stride) {
  const uint64_t pixels = checked_multiply(uint64_t(height) + 2, uint64_t(width) + 2);
  return checked_add(checked_multiply(pixels, uint64_t(stride)), overread(stride) + 64);
}

Map Map::in(Buffer& buffer, int64_t height, int64_t width, int64_t stride) {
  Map map{nullptr, height, width, stride};
  // The first pixel of the first row starts at a boundary of 64 bytes.
  const int64_t before = map.row_bytes() + stride;
  map.origin = buffer.data() + round_up(before, 64);
  return map;
}

void fill_border(const Map& map, int64_t y, Border border) {
  if (border == Border::none) return;
  const int64_t step = border == Border::reflect ? 1 : 0;
  const int64_t stride = map.stride, w = map.width, h = map.height;
  uint8_t* row = map.row(y);
  std::memcpy(row - stride, row + std::min(step, w - 1) * stride, stride);
  std::memcpy(row + w * stride, row + std::max<int64_t>(w - 1 - step, 0) * stride, stride);
  if (y == std::min(step, h - 1)) std::memcpy(map.row(-1) - stride, row - stride, map.row_bytes());
  if (y == std::max<int64_t>(h - 1 - step, 0)) std::memcpy(map.row(h) - stride, row - stride, map.row_bytes());
}

PackedLayer::PackedLayer(const Layer& layer, bool picture_in, bool picture_out)
    : inputs_(layer.inputs),
      outputs_(layer.outputs),
      kernel_(layer.kernel),
      taps_(layer.taps()),
      source_stride_(picture_in ? 3 : map_stride(layer.inputs)),
      upsample_(layer.upsample),
      picture_out_(picture_out && layer.kernel == 3 && !layer.upsample && layer.pool == Pool::none),
      pool_(layer.pool),
      zero_(layer.zero) {
  if (layer.winograd()) {
    winograd_.emplace(layer);
    return;
  }
  if (picture_out_ && PackedPicture::possible(source_stride_)) {
    picture_.emplace(layer, source_stride_);
    return;
  }
  const int run = picture_out_ ? kPictureRun : 1;  // pixels side by side in one block
  const int lanes = picture_out_ ? kLanes : int(map_stride(outputs_));
  target_stride_ = picture_out_ ? 3 * kPictureRun : map_stride(outputs_);
  for (int p = 0; p < layer.phases(); p++) {
    PackedWeights phase(taps_, (taps_ + run - 1) * int(source_stride_), lanes);
    for (int lane = 0; lane < run * outputs_; lane++) {
      const int output = lane % outputs_, shift = lane / outputs_;
      const size_t stored = size_t(p) * outputs_ + output;
      phase.set_output(lane, layer.bias[stored], layer.multiplier[stored]);
      for (int ky = 0; ky < taps_; ky++)
        for (int kx = 0; kx < taps_; kx++)
          phase.set_weights(lane, ky, (shift + kx) * int(source_stride_),
                            layer.weights.data() + ((stored * taps_ + ky) * taps_ + kx) * inputs_, inputs_);
    }
    phase.finish(true);
    phases_.push_back(std::move(phase));
  }
}

int64_t PackedLayer::output_side(int64_t side) const {
  if (upsample_) side *= 2;
  if (pool_ == Pool::floor) side /= 2;
  if (pool_ == Pool::ceil) side = (side + 1) / 2;
  return side;
}

int64_t PackedLayer::spoiled(int64_t wrong) const {
  wrong = upsample_ ? 2 * wrong + 1 : wrong + kernel_ / 2;  // windows of 2 x 2 on the small map
  if (winograd_) wrong = round_up(wrong, 2);                // outputs are made two by two
  return pool_ == Pool::none ? wrong : (wrong + 1) / 2;
}

void PackedLayer::conv_row(const Map& source, int64_t y, uint8_t* target) const {
  const int64_t stride = source.stride;
  ConvRow row{};
  row.source_row = source.row_bytes();
  row.zero = zero_;
  const auto run = [&](const PackedWeights& phase, const uint8_t* from, ptrdiff_t source_pixel, uint8_t* to,
                       ptrdiff_t target_pixel, int64_t pixels) {
    row.source = from, row.source_pixel = source_pixel;
    phase.put(row);
    row.target = to, row.target_pixel = target_pixel, row.pixels = pixels;
    kernels().conv_row(row);
  };
  if (upsample_) {
    const uint8_t* from = source.row(y / 2 - 1 + (y & 1)) - stride;
    for (int px = 0; px < 2; px++)
      run(phases_[2 * (y & 1) + px], from + px * stride, stride, target + px * target_stride_, 2 * target_stride_,
          source.width);
  } else if (picture_out_) {
    run(phases_[0], source.row(y - 1) - stride, kPictureRun * stride, target, target_stride_,
        (source.width + kPictureRun - 1) / kPictureRun);
  } else {
    const int64_t reach = taps_ / 2;
    run(phases_[0], source.row(y - reach) - reach * stride, stride, target, target_stride_, source.width);
  }
}

void PackedLayer::picture_row(const Map& source, int64_t y, uint8_t* target, int64_t width) const {
  PictureRow row{};
  picture_->put(row);
  row.source = source.row(y - 1) - source.stride, row.source_row = source.row_bytes();
  row.zero = zero_;
  row.target = target, row.pixels = width;
  kernels().picture_row(row);
}

void PackedLayer::pooled_row(const Map& source, int64_t y, uint8_t* target, uint8_t* scratch) const {
  const int64_t width = source.width, row_bytes = (width + 1) * target_stride_;
  uint8_t* const rows[2] = {scratch, scratch + row_bytes};
  const int count = 2 * y + 1 < source.height ? 2 : 1;  // an odd last row stands alone when sides are rounded up
  for (int i = 0; i < count; i++) {
    conv_row(source, 2 * y + i, rows[i]);
    std::memcpy(rows[i] + width * target_stride_, rows[i] + (width - 1) * target_stride_, target_stride_);
  }
  kernels().pool_row(rows[0], rows[count - 1], target, output_side(width), target_stride_);
}

uint64_t PackedLayer::scratch_bytes(int64_t width) const {
  if (winograd_) return winograd_->scratch_bytes();
  if (picture_) return 0;
  const uint64_t rows = pool_ != Pool::none ? 2 : picture_out_ ? 1 : 0;
  const uint64_t row = checked_multiply(uint64_t(width) + kPictureRun, uint64_t(picture_out_ ? 3 : target_stride_));
  return round_up(int64_t(checked_multiply(rows, row) + kLanes), 64);
}

void PackedLayer::run(const Map& source, const Map& target, Border border, uint8_t* scratch, int threads) const {
  const uint64_t own = scratch_bytes(source.width);
  if (winograd_) {
    winograd_->run(source, target, scratch, threads);
    for (int64_t y = 0; y < target.height; y++) fill_border(target, y, border);
    count_calls(uint64_t(target.height));
    return;
  }
  parallel_for(target.height, grain_of(target.height, threads), threads, [&](int slot, int64_t begin, int64_t end) {
    for (int64_t y = begin; y < end; y++) {
      if (pool_ == Pool::none)
        conv_row(source, y, target.row(y));
      else
        pooled_row(source, y, target.row(y), scratch + slot * own);
      fill_border(target, y, border);
    }
  });
  count_calls(uint64_t(target.height));
}

void PackedLayer::run_to_picture(const Map& source, uint8_t* picture, int64_t height, int64_t width, uint8_t* scratch,
                                 int threads) const {
  const uint64_t own = scratch_bytes(source.width);
  parallel_for(height, grain_of(height, threads), threads, [&](int slot, int64_t begin, int64_t end) {
    for (int64_t y = begin; y < end; y++) {
      uint8_t* const target = picture + y * width * 3;
      if (picture_) {
        picture_row(source, y, target, width);
        continue;
      }
      uint8_t* const row = scratch + slot * own;  // whole blocks, which may be more than the picture is wide
      conv_row(source, y, row);
      std::memcpy(target, row, width * 3);
    }
  });
  count_calls(uint64_t(height));
}

Network::Network(std::vector<Layer> layers, bool pictures_in, bool pictures_out)
    : input_stride_(pictures_in ? 3 : map_stride(layers.front().inputs)) {
  if (has_short_sums()) order_channels(layers);
  for (size_t i = 0; i < layers.size(); i++)
    layers_.emplace_back(layers[i], pictures_in && i == 0, pictures_out && i + 1 == layers.size());
}

int64_t Network::spoiled() const {
  int64_t wrong = 0;
  for (const PackedLayer& layer : layers_) wrong = layer.spoiled(wrong);
  return wrong;
}

Network::Plan Network::plan(int64_t height, int64_t width, int threads) const {
  Plan plan{{map_bytes(height, width, input_stride_), 0}, 0, height, width};
  for (size_t i = 0; i < layers_.size(); i++) {
    const PackedLayer& layer = layers_[i];
    plan.scratch = std::max(plan.scratch, checked_multiply(layer.scratch_bytes(plan.width), uint64_t(threads)));
    plan.height = layer.output_side(plan.height), plan.width = layer.output_side(plan.width);
    if (plan.height == 0 || plan.width == 0) throw std::invalid_argument("the picture is too small for this model");
    if (i + 1 == layers_.size()) break;
    uint64_t& slot = plan.slots[(i + 1) % 2];
    slot = std::max(slot, map_bytes(plan.height, plan.width, map_stride(layer.outputs())));
  }
  return plan;
}

Map Network::prepare(Workspace& workspace, const Plan& plan, int64_t height, int64_t width) const {
  for (int i = 0; i < 2; i++) workspace.slots[i].reserve(plan.slots[i]);
  workspace.scratch.reserve(plan.scratch);
  return Map::in(workspace.slots[0], height, width, input_stride_);
}

Map Network::run_inner(Workspace& workspace, Map map, int threads) const {
  for (size_t i = 0; i + 1 < layers_.size(); i++) {
    const PackedLayer& layer = layers_[i];
    const Map next = Map::in(workspace.slots[(i + 1) % 2], layer.output_side(map.height), layer.output_side(map.width),
                             map_stride(layer.outputs()));
    layer.run(map, next, layers_[i + 1].border(), workspace.scratch.data(), threads);
    map = next;
  }
  return map;
}

LayerTime PackedLayer::described(int64_t height, int64_t width) const {
  return {inputs_,           outputs_,         kernel_, upsample_, pool_ != Pool::none, winograd_.has_value(),
          conv_side(height), conv_side(width), 0};
}

std::vector<LayerTime> Network::layer_times(int64_t height, int64_t width, int threads, int repeats) const {
  Workspace workspace;
  workspace.scratch.reserve(plan(height, width, threads).scratch);
  std::vector<LayerTime> times;
  int64_t stride = input_stride_;
  for (const PackedLayer& layer : layers_) {
    const int64_t h = layer.output_side(height), w = layer.output_side(width);
    workspace.slots[0].reserve(map_bytes(height, width, stride));
    const Map source = Map::in(workspace.slots[0], height, width, stride);
    uint32_t noise = 1;
    for (int64_t y = 0; y < height; y++) {
      for (int64_t i = 0; i < width * stride; i++) source.row(y)[i] = uint8_t((noise = noise * 1664525 + 1013904223) >> 25);
      fill_border(source, y, layer.border());
    }
    stride = map_stride(layer.outputs());
    workspace.slots[1].reserve(map_bytes(h, w, stride));
    const Map target = Map::in(workspace.slots[1], h, w, stride);
    LayerTime time = layer.described(height, width);
    time.seconds = std::numeric_limits<double>::infinity();
    for (int i = 0; i < repeats; i++) {
      const auto begin = std::chrono::steady_clock::now();
      if (layer.writes_pictures())
        layer.run_to_picture(source, workspace.slots[1].data(), h, w, workspace.scratch.data(), threads);
      else
        layer.run(source, target, Border::reflect, workspace.scratch.data(), threads);
      const std::chrono::duration<double> spent = std::chrono::steady_clock::now() - begin;
      time.seconds = std::min(time.seconds, spent.count());
    }
    times.push_back(time);
    height = h, width = w;
  }
  return times;
}

}  // namespace fastnst
