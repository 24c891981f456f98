#include "engine/adain.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <stdexcept>

#include "base/checked.h"
#include "base/parallel.h"

namespace fastnst {
namespace {

constexpr double kEpsilon = 1e-5;  // added to variances, as in the published networks
constexpr int64_t kMaxSide = int64_t(1) << 24;

int64_t total_stride(const std::vector<Layer>& encoder) {
  int64_t stride = 1;
  for (const Layer& layer : encoder) stride *= layer.pool == Pool::none ? 1 : 2;
  return stride;
}

// Copies a picture into a map, extended to the map's size.
void load_picture(const uint8_t* picture, int64_t height, int64_t width, const Map& map, Border border, int threads) {
  parallel_for(map.height, 16, threads, [&](int, int64_t begin, int64_t end) {
    for (int64_t y = begin; y < end; y++) {
      uint8_t* row = map.row(y);
      std::memcpy(row, picture + std::min(y, height - 1) * width * 3, size_t(width) * 3);
      for (int64_t x = width; x < map.width; x++) std::memcpy(row + x * 3, row + (width - 1) * 3, 3);
      fill_border(map, y, border);
    }
  });
}

Look channel_statistics(const Map& map, int channels, double scale, int threads) {
  const int64_t stride = map.stride;
  std::vector<uint64_t> sums(stride), squares(stride);
  std::mutex mutex;
  parallel_for(map.height, 16, threads, [&](int, int64_t begin, int64_t end) {
    uint64_t own[2][kLanes];
    for (int64_t first = 0; first < stride; first += kLanes) {
      std::memset(own, 0, sizeof own);
      for (int64_t y = begin; y < end; y++) kernels().sum_row(map.row(y) + first, map.width, stride, own[0], own[1]);
      const std::lock_guard<std::mutex> lock(mutex);
      for (int c = 0; c < kLanes; c++) sums[first + c] += own[0][c], squares[first + c] += own[1][c];
    }
  });
  using Exact = unsigned __int128;
  const uint64_t n = uint64_t(map.height) * uint64_t(map.width);
  const double count = double(n), pairs = count * double(std::max<uint64_t>(n - 1, 1));
  Look look;
  for (int c = 0; c < channels; c++) {
    const Exact spread = Exact(n) * squares[c] - Exact(sums[c]) * sums[c];
    const double variance = (scale * scale) * (double(spread) / pairs);
    look.mean.push_back((scale * double(sums[c])) / count);
    look.std.push_back(std::sqrt(variance + kEpsilon));
  }
  return look;
}

}  // namespace

class AdainEngine::Lease {
 public:
  explicit Lease(const AdainEngine& engine) : engine_(engine) {
    const std::lock_guard<std::mutex> lock(engine_.mutex_);
    if (engine_.idle_.empty()) {
      workspace_ = std::make_unique<Workspace>();
    } else {
      workspace_ = std::move(engine_.idle_.back());
      engine_.idle_.pop_back();
    }
  }
  ~Lease() {
    const std::lock_guard<std::mutex> lock(engine_.mutex_);
    engine_.idle_.push_back(std::move(workspace_));
  }
  Workspace& operator*() { return *workspace_; }

 private:
  const AdainEngine& engine_;
  std::unique_ptr<Workspace> workspace_;
};

AdainEngine::AdainEngine(const Model& model)
    : card_(model.card),
      channels_(model.channels()),
      stride_(total_stride(model.encoder)),
      feature_scale_(model.feature_scale),
      decoder_scale_(model.decoder_scale),
      decoder_zero_(model.decoder_zero),
      encoder_(model.encoder, true, false),
      decoder_(model.decoder, false, true) {
  kernels();  // an instruction set that cannot run is reported when a model is loaded, not later
}

int64_t AdainEngine::extended(int64_t side) const {
  if (side < 1 || side > kMaxSide) throw std::invalid_argument("a picture's sides must be 1 to 16777216 pixels");
  return round_up(side, stride_);
}

Features AdainEngine::encode(const uint8_t* picture, int64_t height, int64_t width, int threads) const {
  const int64_t h = extended(height), w = extended(width);
  const Network::Plan plan = encoder_.plan(h, w, threads);
  Lease lease(*this);
  const Map input = encoder_.prepare(*lease, plan, h, w);
  load_picture(picture, height, width, input, encoder_.first().border(), threads);
  const Map source = encoder_.run_inner(*lease, input, threads);
  Features features;
  features.height = height, features.width = width, features.channels = channels_;
  features.memory = Buffer(map_bytes(plan.height, plan.width, map_stride(channels_)));
  features.map = Map::in(features.memory, plan.height, plan.width, map_stride(channels_));
  encoder_.last().run(source, features.map, Border::none, (*lease).scratch.data(), threads);
  features.look = channel_statistics(features.map, channels_, feature_scale_, threads);
  return features;
}

void AdainEngine::decode(const Features& features, const Look& style, double alpha, uint8_t* picture, int threads) const {
  if (int(style.mean.size()) != channels_ || int(style.std.size()) != channels_ || features.channels != channels_)
    throw std::invalid_argument("statistics of another model: this one has " + std::to_string(channels_) + " channels");
  std::vector<float> slope(features.map.stride), offset(features.map.stride);
  for (int c = 0; c < channels_; c++) {
    const double gain = style.std[c] / features.look.std[c];
    const double a = alpha * gain + (1 - alpha), b = alpha * (style.mean[c] - features.look.mean[c] * gain);
    slope[c] = float(a * feature_scale_ / decoder_scale_);
    offset[c] = float(b / decoder_scale_ + decoder_zero_);
    if (!std::isfinite(slope[c]) || !std::isfinite(offset[c])) throw std::invalid_argument("statistics that are not finite");
  }
  const Map& map = features.map;
  const Network::Plan plan = decoder_.plan(map.height, map.width, threads);
  if (plan.height < features.height || plan.width < features.width)
    throw std::invalid_argument("features that this model's decoder cannot turn into a picture of their size");
  Lease lease(*this);
  const Map input = decoder_.prepare(*lease, plan, map.height, map.width);
  const Border border = decoder_.first().border();
  parallel_for(map.height, 8, threads, [&](int, int64_t begin, int64_t end) {
    for (int64_t y = begin; y < end; y++) {
      kernels().affine_row(map.row(y), slope.data(), offset.data(), input.row(y), map.width, map.stride);
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

uint64_t AdainEngine::working_bytes(int64_t height, int64_t width, int threads) const {
  const Network::Plan encode = encoder_.plan(extended(height), extended(width), threads);
  const Network::Plan decode = decoder_.plan(encode.height, encode.width, threads);
  uint64_t bytes = map_bytes(encode.height, encode.width, map_stride(channels_));
  for (int i = 0; i < 2; i++) bytes = checked_add(bytes, std::max(encode.slots[i], decode.slots[i]));
  return checked_add(bytes, std::max(encode.scratch, decode.scratch));
}

}  // namespace fastnst
