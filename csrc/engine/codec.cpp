#include "engine/codec.h"

#include <algorithm>
#include <cstring>
#include <stdexcept>

#include "base/checked.h"
#include "base/parallel.h"

namespace fastnst {
namespace {

constexpr int64_t kMaxSide = int64_t(1) << 24;

int64_t total_stride(const std::vector<Layer>& encoder) {
  int64_t stride = 1;
  for (const Layer& layer : encoder) stride *= layer.pool == Pool::none ? 1 : 2;
  return stride;
}

// Whether the encoder only shrinks maps and the decoder only enlarges them.
bool is_divisible(const Stage& stage) {
  const auto enlarges = [](const Layer& layer) { return layer.upsample; };
  const auto shrinks = [](const Layer& layer) { return layer.pool != Pool::none; };
  return std::none_of(stage.encoder.begin(), stage.encoder.end(), enlarges) &&
         std::none_of(stage.decoder.begin(), stage.decoder.end(), shrinks);
}

// Copies a picture into a map, extended to the map's size.
void load_picture(const PictureView& picture, const Map& map, Border border, int threads) {
  const int64_t width = picture.width;
  parallel_for(map.height, 16, threads, [&](int, int64_t begin, int64_t end) {
    for (int64_t y = begin; y < end; y++) {
      uint8_t* row = map.row(y);
      std::memcpy(row, picture.row(std::min(y, picture.height - 1)), size_t(width) * 3);
      for (int64_t x = width; x < map.width; x++) std::memcpy(row + x * 3, row + (width - 1) * 3, 3);
      fill_border(map, y, border);
    }
  });
}

}  // namespace

// Nobody waits here. A process that was forked while another thread held the lock will never get it.
Workspaces::Lease::Lease(Workspaces& owner) : owner_(owner) {
  const std::unique_lock<std::mutex> lock(owner_.mutex_, std::try_to_lock);
  if (lock && owner_.count_ > 0)
    workspace_ = std::move(owner_.idle_[--owner_.count_]);
  else
    workspace_ = std::make_unique<Workspace>();
}

Workspaces::Lease::~Lease() {
  const std::unique_lock<std::mutex> lock(owner_.mutex_, std::try_to_lock);
  if (lock && owner_.count_ < kMost) owner_.idle_[owner_.count_++] = std::move(workspace_);
}

Codec::Codec(const Stage& stage)
    : channels_(stage.channels()),
      stride_(total_stride(stage.encoder)),
      divisible_(is_divisible(stage)),
      encoder_(stage.encoder, true, false),
      decoder_(stage.decoder, false, true) {}

int64_t Codec::extended(int64_t side) const {
  if (side < 1 || side > kMaxSide) throw std::invalid_argument("a picture's sides must be 1 to 16777216 pixels");
  return features_along(side) * stride_;
}

int64_t Codec::encoder_reach() const {
  if (!divisible_) throw std::invalid_argument("this model's networks cannot be run in parts: the picture needs more memory");
  return round_up(encoder_.spoiled(), 2);
}

int64_t Codec::decoder_reach() const {
  encoder_reach();
  return round_up(features_along(decoder_.spoiled()), 2);
}

Encoded Codec::encode(const PictureView& picture, int threads, Workspaces& workspaces) const {
  const int64_t h = extended(picture.height), w = extended(picture.width);
  const Network::Plan plan = encoder_.plan(h, w, threads);
  Workspaces::Lease lease(workspaces);
  const Map input = encoder_.prepare(*lease, plan, h, w);
  load_picture(picture, input, encoder_.first().border(), threads);
  const Map source = encoder_.run_inner(*lease, input, threads);
  Encoded encoded;
  encoded.height = picture.height, encoded.width = picture.width, encoded.channels = channels_;
  encoded.memory = Buffer(map_bytes(plan.height, plan.width, map_stride(channels_)));
  encoded.map = Map::in(encoded.memory, plan.height, plan.width, map_stride(channels_));
  encoder_.last().run(source, encoded.map, Border::none, (*lease).scratch.data(), threads);
  return encoded;
}

void Codec::decode(const Encoded& features, const RowTransform& transform, uint8_t* picture, int threads,
                   Workspaces& workspaces, Place origin) const {
  const Map& map = features.map;
  const Network::Plan plan = decoder_.plan(map.height, map.width, threads);
  if (features.channels != channels_ || plan.height < features.height || plan.width < features.width)
    throw std::invalid_argument("features that this model's decoder cannot turn into a picture of their size");
  Workspaces::Lease lease(workspaces);
  const Map input = decoder_.prepare(*lease, plan, map.height, map.width);
  const Border border = decoder_.first().border();
  parallel_for(map.height, 8, threads, [&](int, int64_t begin, int64_t end) {
    for (int64_t y = begin; y < end; y++) {
      transform(map.row(y), input.row(y), map.width, {origin.y + y, origin.x});
      fill_border(input, y, border);
    }
  });
  const Map source = decoder_.run_inner(*lease, input, threads);
  uint8_t* scratch = (*lease).scratch.data();
  if (decoder_.last().writes_pictures()) {
    decoder_.last().run_to_picture(source, picture, features.height, features.width, scratch, threads);
    return;
  }
  // A last layer of an unusual kind writes a map of padded pixels like any other layer.
  Buffer memory(map_bytes(plan.height, plan.width, map_stride(3)));
  const Map output = Map::in(memory, plan.height, plan.width, map_stride(3));
  decoder_.last().run(source, output, Border::none, scratch, threads);
  for (int64_t y = 0; y < features.height; y++)
    for (int64_t x = 0; x < features.width; x++)
      std::memcpy(picture + (y * features.width + x) * 3, output.row(y) + x * output.stride, 3);
}

Codec::Needs Codec::needs(int64_t height, int64_t width, int threads) const {
  const Network::Plan encode = encoder_.plan(extended(height), extended(width), threads);
  const Network::Plan decode = decoder_.plan(encode.height, encode.width, threads);
  Needs needs{};
  for (int i = 0; i < 2; i++) needs.slots[i] = std::max(encode.slots[i], decode.slots[i]);
  needs.scratch = std::max(encode.scratch, decode.scratch);
  needs.features = map_bytes(encode.height, encode.width, map_stride(channels_));
  needs.height = encode.height, needs.width = encode.width;
  return needs;
}

std::vector<LayerTime> Codec::layer_times(int64_t height, int64_t width, int threads, int repeats) const {
  const int64_t h = extended(height), w = extended(width);
  std::vector<LayerTime> times = encoder_.layer_times(h, w, threads, repeats);
  const Network::Plan plan = encoder_.plan(h, w, threads);
  const std::vector<LayerTime> rest = decoder_.layer_times(plan.height, plan.width, threads, repeats);
  times.insert(times.end(), rest.begin(), rest.end());
  return times;
}

}  // namespace fastnst
