#include "engine/wct.h"

#include <algorithm>
#include <stdexcept>

#include "base/checked.h"
#include "engine/eigen.h"
#include "engine/whitening.h"

namespace fastnst {
namespace {

std::vector<double> as_double(const std::vector<float>& values) { return {values.begin(), values.end()}; }

std::string listed(const std::vector<int>& numbers) {
  std::string text;
  for (const int number : numbers) text += (text.empty() ? "" : ", ") + std::to_string(number);
  return text;
}

}  // namespace

WctEngine::WctEngine(const Model& model) : card_(model.card) {
  kernels();  // an instruction set that cannot run is reported when a model is loaded, not later
  for (const Stage& stage : model.stages) {
    levels_.push_back(int(stage.number));
    stages_.push_back({int(stage.number), Codec(stage), as_double(stage.feature_scale), as_double(stage.decoder_scale),
                       as_double(stage.decoder_zero)});
  }
}

std::vector<const WctEngine::Level*> WctEngine::choose(const std::vector<int>& numbers) const {
  std::vector<const Level*> chosen;
  for (const Level& level : stages_)
    for (const int number : numbers)
      if (number == level.number) chosen.push_back(&level);
  for (size_t i = 1; i < chosen.size(); i++)
    if (chosen[i] == chosen[i - 1])
      throw std::invalid_argument("level " + std::to_string(chosen[i]->number) + " is given twice");
  for (const int number : numbers)
    if (std::find(levels_.begin(), levels_.end(), number) == levels_.end())
      throw std::invalid_argument("no level " + std::to_string(number) + " in this model; it has " + listed(levels_));
  if (chosen.empty()) throw std::invalid_argument("there must be at least one level");
  return chosen;
}

WctFeatures WctEngine::encode_at(const Level& level, const uint8_t* picture, int64_t height, int64_t width, int threads) const {
  WctFeatures features{level.codec.encode(picture, height, width, threads, workspaces_), {level.number}, {}};
  features.moments = moments_of(features.map, level.feature_scale, threads);
  return features;
}

WctFeatures WctEngine::encode(const uint8_t* picture, int64_t height, int64_t width, const std::vector<int>& levels,
                              int threads) const {
  const std::vector<const Level*> chosen = choose(levels);
  WctFeatures features = encode_at(*chosen.front(), picture, height, width, threads);
  for (size_t i = 1; i < chosen.size(); i++) features.levels.push_back(chosen[i]->number);
  return features;
}

std::vector<Coloring> WctEngine::look(const uint8_t* picture, int64_t height, int64_t width, const std::vector<int>& levels,
                                      int threads) const {
  std::vector<Coloring> look;
  for (const Level* level : choose(levels)) {
    Moments moments = encode_at(*level, picture, height, width, threads).moments;
    std::vector<double> root = coloring_root(moments.covariance, level->feature_scale, threads);
    look.push_back({level->number, std::move(moments.mean), std::move(root)});
  }
  return look;
}

void WctEngine::decode(const WctFeatures& features, const std::vector<Coloring>& style, double alpha, uint8_t* picture,
                       int threads) const {
  const std::vector<const Level*> chosen = choose(features.levels);
  std::vector<const Coloring*> colorings;
  for (const Level* level : chosen) {
    const auto has = [&](const Coloring& each) { return each.level == level->number; };
    const auto found = std::find_if(style.begin(), style.end(), has);
    if (found == style.end()) throw std::invalid_argument("a look without level " + std::to_string(level->number));
    const size_t n = size_t(level->codec.channels());
    if (found->mean.size() != n || found->root.size() != n * n)
      throw std::invalid_argument("statistics of another model: this one has " + std::to_string(n) + " channels at level " +
                                  std::to_string(level->number));
    colorings.push_back(&*found);
  }
  decode_at(*chosen[0], features, *colorings[0], alpha, picture, threads);
  for (size_t i = 1; i < chosen.size(); i++) {
    const WctFeatures next = encode_at(*chosen[i], picture, features.height, features.width, threads);
    decode_at(*chosen[i], next, *colorings[i], alpha, picture, threads);
  }
}

void WctEngine::decode_at(const Level& level, const WctFeatures& features, const Coloring& style, double alpha,
                          uint8_t* picture, int threads) const {
  const size_t n = size_t(level.codec.channels());
  if (features.moments.mean.size() != n) throw std::invalid_argument("features of another model");
  std::vector<double> matrix(n * n), target(n);
  if (alpha > 0) {
    matrix = product(style.root, whitening_root(features.moments.covariance, level.feature_scale, threads), n, threads);
    for (double& each : matrix) each *= alpha;
  }
  for (size_t c = 0; c < n; c++) {
    matrix[c * n + c] += 1 - alpha;
    target[c] = alpha * style.mean[c] + (1 - alpha) * features.moments.mean[c];
  }
  const Mixer mixer =
      make_mixer(matrix, features.moments.mean, target, {level.feature_scale, level.decoder_scale, level.decoder_zero});
  const int64_t width = features.map.width;
  const auto mix = [&](const uint8_t* from, uint8_t* to) { mixer.run(from, to, width); };
  level.codec.decode(features, mix, picture, threads, workspaces_);
}

uint64_t WctEngine::working_bytes(int64_t height, int64_t width, const std::vector<int>& levels, int threads) const {
  Codec::Needs most{};
  uint64_t between = 0;
  for (const Level* level : choose(levels)) {
    const Codec::Needs needs = level->codec.needs(height, width, threads);
    for (int i = 0; i < 2; i++) most.slots[i] = std::max(most.slots[i], needs.slots[i]);
    most.scratch = std::max(most.scratch, needs.scratch);
    // Products of every thread and their sum; later covariance, vectors, root, matrix and its copy, of 8 bytes each.
    const uint64_t stride = uint64_t(map_stride(level->codec.channels()));
    const uint64_t matrices = checked_multiply(stride * stride * 8, std::max<uint64_t>(uint64_t(threads) + 1, 5));
    between = std::max(between, checked_add(needs.features, matrices));
  }
  return checked_add(checked_add(between, most.scratch), checked_add(most.slots[0], most.slots[1]));
}

}  // namespace fastnst
