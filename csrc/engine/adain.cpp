#include "engine/adain.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <mutex>
#include <stdexcept>

#include "base/checked.h"
#include "base/parallel.h"

namespace fastnst {
namespace {

constexpr double kEpsilon = 1e-5;  // added to variances, as in the published networks

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

AdainEngine::AdainEngine(const Model& model)
    : card_(model.card),
      feature_scale_(model.stages.front().feature_scale.front()),
      decoder_scale_(model.stages.front().decoder_scale.front()),
      decoder_zero_(model.stages.front().decoder_zero.front()),
      codec_(model.stages.front()) {
  kernels();  // an instruction set that cannot run is reported when a model is loaded, not later
}

Features AdainEngine::encode(const uint8_t* picture, int64_t height, int64_t width, int threads) const {
  Features features{codec_.encode(picture, height, width, threads, workspaces_), {}};
  features.look = channel_statistics(features.map, channels(), feature_scale_, threads);
  return features;
}

void AdainEngine::decode(const Features& features, const Look& style, double alpha, uint8_t* picture, int threads) const {
  const int count = channels();
  if (int(style.mean.size()) != count || int(style.std.size()) != count || features.channels != count)
    throw std::invalid_argument("statistics of another model: this one has " + std::to_string(count) + " channels");
  const Map& map = features.map;
  std::vector<float> slope(map.stride), offset(map.stride);
  for (int c = 0; c < count; c++) {
    const double gain = style.std[c] / features.look.std[c];
    const double a = alpha * gain + (1 - alpha), b = alpha * (style.mean[c] - features.look.mean[c] * gain);
    slope[c] = float(a * feature_scale_ / decoder_scale_);
    offset[c] = float(b / decoder_scale_ + decoder_zero_);
    if (!std::isfinite(slope[c]) || !std::isfinite(offset[c])) throw std::invalid_argument("statistics that are not finite");
  }
  const auto renormalise = [&](const uint8_t* from, uint8_t* to) {
    kernels().affine_row(from, slope.data(), offset.data(), to, map.width, map.stride);
  };
  codec_.decode(features, renormalise, picture, threads, workspaces_);
}

uint64_t AdainEngine::working_bytes(int64_t height, int64_t width, int threads) const {
  const Codec::Needs needs = codec_.needs(height, width, threads);
  return checked_add(checked_add(needs.features, needs.scratch), checked_add(needs.slots[0], needs.slots[1]));
}

}  // namespace fastnst
