#include "engine/wct.h"

#include <algorithm>
#include <stdexcept>
#include <tuple>
#include <utility>

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

// Products of every thread and their sum, which is as large as two; later covariance, vectors, root, matrix and its copy, of 8
// bytes each.
uint64_t matrix_bytes(const Codec& codec, int threads) {
  const uint64_t stride = uint64_t(map_stride(codec.channels()));
  return checked_multiply(stride * stride * 8, std::max<uint64_t>(uint64_t(threads) + 2, 5));
}

}  // namespace

WctEngine::WctEngine(const Model& model) : Engine(model) {
  for (const Stage& stage : model.stages)
    stages_.push_back({int(stage.number), Codec(stage), as_double(stage.feature_scale), as_double(stage.decoder_scale),
                       as_double(stage.decoder_zero)});
}

std::vector<const WctEngine::Level*> WctEngine::choose(const Levels& levels) const {
  const std::vector<int>& numbers = Engine::chosen(levels);
  std::vector<const Level*> chosen;
  for (const Level& level : stages_)
    for (const int number : numbers)
      if (number == level.number) chosen.push_back(&level);
  for (size_t i = 1; i < chosen.size(); i++)
    if (chosen[i] == chosen[i - 1])
      throw std::invalid_argument("level " + std::to_string(chosen[i]->number) + " is given twice");
  const std::vector<int>& known = Engine::levels();
  for (const int number : numbers)
    if (std::find(known.begin(), known.end(), number) == known.end())
      throw std::invalid_argument("no level " + std::to_string(number) + " in this model; it has " + listed(known));
  if (chosen.empty()) throw std::invalid_argument("there must be at least one level");
  return chosen;
}

Features WctEngine::encode_at(const Level& level, const uint8_t* picture, int64_t height, int64_t width, int threads) const {
  Features features{level.codec.encode({picture, height, width}, threads, workspaces_), {level.number}, {}};
  MomentSums sums(level.codec.channels(), nullptr);
  sums.add(FeatureView(features.map), {}, threads);
  features.statistics = sums.statistics(0, level.feature_scale);
  return features;
}

Features WctEngine::encode(const uint8_t* picture, int64_t height, int64_t width, const Levels& levels, int threads) const {
  const std::vector<const Level*> chosen = choose(levels);
  Features features = encode_at(*chosen.front(), picture, height, width, threads);
  for (size_t i = 1; i < chosen.size(); i++) features.levels.push_back(chosen[i]->number);
  return features;
}

LevelLook WctEngine::look_of(const Level& level, const Statistics& statistics, int threads) {
  return {level.number, {statistics.mean, coloring_root(statistics.spread, level.feature_scale, threads)}};
}

Look WctEngine::look(const uint8_t* picture, int64_t height, int64_t width, const Levels& levels, int threads) const {
  Look look;
  for (const Level* level : choose(levels))
    look.push_back(look_of(*level, encode_at(*level, picture, height, width, threads).statistics, threads));
  return look;
}

std::vector<const Statistics*> WctEngine::match(const std::vector<const Level*>& levels, const Look& style,
                                                const char* wanted) const {
  if (style.empty() || style.front().level == 0) refuse_others(wanted);
  std::vector<const Statistics*> matches;
  for (const Level* level : levels) {
    const auto has = [&](const LevelLook& each) { return each.level == level->number; };
    const auto found = std::find_if(style.begin(), style.end(), has);
    if (found == style.end()) throw std::invalid_argument("a look without level " + std::to_string(level->number));
    const size_t n = size_t(level->codec.channels());
    if (found->statistics.mean.size() != n || found->statistics.spread.size() != n * n)
      throw std::invalid_argument("statistics of another model: this one has " + std::to_string(n) + " channels at level " +
                                  std::to_string(level->number));
    matches.push_back(&found->statistics);
  }
  return matches;
}

WctEngine::Targets WctEngine::match(const std::vector<const Level*>& levels, const Painting& painting,
                                    const char* wanted) const {
  if (painting.regions == nullptr) return {match(levels, painting.style, wanted)};
  Targets targets(painting.regions->parts());
  for (size_t part = 0; part < targets.size(); part++)
    if (painting.paints(part, 1)) targets[part] = match(levels, painting.of_part(part), wanted);
  return targets;
}

std::optional<RegionGrid> WctEngine::grid_at(const Level& level, const Painting& painting, int64_t height, int64_t width) {
  if (painting.regions == nullptr) return std::nullopt;
  return std::make_optional<RegionGrid>(*painting.regions, height, width, level.codec.stride());
}

void WctEngine::decode(const Features& features, const Painting& painting, uint8_t* picture, int threads) const {
  constexpr const char* kWanted = "features and looks";
  if (features.levels.empty()) refuse_others(kWanted);
  const std::vector<const Level*> chosen = choose(features.levels);
  const Targets targets = match(chosen, painting, kWanted);
  const auto decode_at = [&](size_t i, const Encoded& content) {
    const Level& level = *chosen[i];
    const std::optional<RegionGrid> grid = grid_at(level, painting, content.height, content.width);
    Codec::RowTransform transform;
    if (i == 0 && !grid) {
      transform = mix(level, features.statistics, *targets[0][0], painting.alpha, threads);
    } else {
      MomentSums sums(level.codec.channels(), grid ? &*grid : nullptr);
      sums.add(FeatureView(content.map), {}, threads);
      transform = mix(level, sums, painting, grid ? &*grid : nullptr, targets, i, threads);
    }
    level.codec.decode(content, transform, picture, threads, workspaces_);
  };
  decode_at(0, features);
  for (size_t i = 1; i < chosen.size(); i++)
    decode_at(i, chosen[i]->codec.encode({picture, features.height, features.width}, threads, workspaces_));
}

Codec::RowTransform WctEngine::mix(const Level& level, const MomentSums& sums, const Painting& painting, const RegionGrid* grid,
                                   const Targets& targets, size_t chosen, int threads) const {
  const auto of_part = [&](size_t part) {
    return mix(level, sums.statistics(part, level.feature_scale), *targets[part][chosen], painting.alpha, threads);
  };
  if (grid == nullptr) return of_part(0);
  std::vector<Codec::RowTransform> parts(grid->parts() + 1);
  for (size_t part = 0; part < grid->parts(); part++)
    if (painting.paints(part, sums.weight(part))) parts[part] = of_part(part);
  const std::vector<double> none(size_t(level.codec.channels()));
  parts.back() = mix(level, {none, {}}, {none, {}}, 0, threads);
  return blended(*grid, std::move(parts), map_stride(level.codec.channels()));
}

Codec::RowTransform WctEngine::mix(const Level& level, const Statistics& content, const Statistics& style, double alpha,
                                   int threads) const {
  const size_t n = size_t(level.codec.channels());
  if (content.mean.size() != n) throw std::invalid_argument("features of another model");
  std::vector<double> matrix(n * n), target(n);
  if (alpha > 0) {
    matrix = product(style.spread, whitening_root(content.spread, level.feature_scale, threads), n, threads);
    for (double& each : matrix) each *= alpha;
  }
  for (size_t c = 0; c < n; c++) {
    matrix[c * n + c] += 1 - alpha;
    target[c] = alpha * style.mean[c] + (1 - alpha) * content.mean[c];
  }
  return [mixer = make_mixer(matrix, content.mean, target, {level.feature_scale, level.decoder_scale, level.decoder_zero})](
             const uint8_t* from, uint8_t* to, int64_t pixels, Place) { mixer.run(from, to, pixels); };
}

Tiling WctEngine::tiling(int64_t height, int64_t width, const Levels& levels, int threads, uint64_t budget,
                         bool decodes) const {
  std::vector<const Codec*> codecs;
  uint64_t matrices = 0;
  for (const Level* level : choose(levels)) {
    codecs.push_back(&level->codec);
    matrices = std::max(matrices, matrix_bytes(level->codec, threads));
  }
  return plan_tiles(codecs, height, width, threads, matrices, budget, decodes);
}

Look WctEngine::look(const RowIO& style, const Levels& levels, const Tiling& tiling) const {
  Look look;
  for (const Level* level : choose(levels)) {
    MomentSums sums(level->codec.channels(), nullptr);
    TiledFeatures features(level->codec, workspaces_, style, tiling, "", false,
                           [&](const FeatureView& tile, Place first) { sums.add(tile, first, style.threads); });
    features.read();
    look.push_back(look_of(*level, sums.statistics(0, level->feature_scale), style.threads));
  }
  return look;
}

void WctEngine::stylize(const RowIO& content, const Levels& levels, const Painting& painting, const Tiling& tiling,
                        const std::string& folder) const {
  const std::vector<const Level*> chosen = choose(levels);
  const Targets targets = match(chosen, painting, "looks");
  std::vector<std::optional<RegionGrid>> grids;
  for (const Level* level : chosen) grids.push_back(grid_at(*level, painting, content.height, content.width));
  const auto grid_of = [&](size_t i) { return grids[i] ? &*grids[i] : nullptr; };
  Progress progress(content, 2 * chosen.size());
  // The features of level i, given rows by `fill`.
  const auto encode_at = [&](size_t i, const auto& fill) {
    const Level& level = *chosen[i];
    const int64_t all = level.codec.features_along(content.height) * level.codec.features_along(content.width);
    MomentSums sums(level.codec.channels(), grid_of(i));
    auto features = std::make_unique<TiledFeatures>(level.codec, workspaces_, content, tiling, folder, true,
                                                    [&](const FeatureView& tile, Place first) {
                                                      sums.add(tile, first, content.threads);
                                                      progress.add(tile.height * tile.width, all);
                                                    });
    fill(*features);  // which calls the above for every tile
    return std::pair{std::move(features), mix(level, sums, painting, grid_of(i), targets, i, content.threads)};
  };
  std::unique_ptr<TiledFeatures> features;
  Codec::RowTransform transform;
  std::tie(features, transform) = encode_at(0, [](TiledFeatures& first) { first.read(); });
  for (size_t i = 0; i < chosen.size(); i++) {
    const auto decode = [&](const TiledFeatures::Write& write) {
      features->decode(transform, [&](const uint8_t* rows, int64_t count) {
        write(rows, count);
        progress.add(count, content.height);
      });
    };
    if (i + 1 == chosen.size())
      decode(content.write);
    else
      std::tie(features, transform) = encode_at(
          i + 1, [&](TiledFeatures& next) { decode([&](const uint8_t* rows, int64_t count) { next.take(rows, count); }); });
  }
}

uint64_t WctEngine::working_bytes(int64_t height, int64_t width, const Levels& levels, int threads) const {
  Codec::Needs most{};
  uint64_t between = 0;
  for (const Level* level : choose(levels)) {
    const Codec::Needs needs = level->codec.needs(height, width, threads);
    for (int i = 0; i < 2; i++) most.slots[i] = std::max(most.slots[i], needs.slots[i]);
    most.scratch = std::max(most.scratch, needs.scratch);
    between = std::max(between, checked_add(needs.features, matrix_bytes(level->codec, threads)));
  }
  return checked_add(checked_add(between, most.scratch), checked_add(most.slots[0], most.slots[1]));
}

}  // namespace fastnst
