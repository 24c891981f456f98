#include "engine/generator.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <stdexcept>

#include "base/checked.h"
#include "base/parallel.h"
#include "engine/kernels/table.h"

namespace fastnst {
namespace {

constexpr int64_t kMaxSide = int64_t(1) << 24;
constexpr int kWords = 65536;
const std::vector<double> kFirst{1.0};

std::vector<uint32_t> sources_of(const Node& node) {
  if (const auto* convolution = std::get_if<Convolution>(&node)) return {convolution->source};
  if (const auto* paint = std::get_if<Paint>(&node)) return {paint->source};
  const Affine& affine = std::get<Affine>(node);
  std::vector<uint32_t> sources{affine.source};
  if (affine.addend) sources.push_back(*affine.addend);
  return sources;
}

// The map that a node writes; none if that is the picture.
std::optional<uint32_t> target_of(const Node& node) {
  if (const auto* convolution = std::get_if<Convolution>(&node)) return convolution->target;
  if (const auto* affine = std::get_if<Affine>(&node)) return affine->target;
  return std::nullopt;
}

// Whether row y of what a node writes needs nothing but row y of what it reads.
bool is_local(const Node& node) {
  if (const auto* convolution = std::get_if<Convolution>(&node)) return convolution->kernel == 1;
  if (const auto* affine = std::get_if<Affine>(&node)) return !affine->normalises;
  return true;
}

std::vector<uint8_t> painted_by(const std::vector<int16_t>& thresholds) {
  std::vector<uint8_t> painted(kWords);
  for (int i = 0; i < kWords; i++)
    painted[i] = uint8_t(std::upper_bound(thresholds.begin(), thresholds.end(), i - kWords / 2) - thresholds.begin());
  return painted;
}

// Of tables [styles][channels] the rows, summed in float64 by the parts of their styles from the first to the last, for every
// lane of a map.
std::vector<float> mixed(const std::vector<float>& table, size_t channels, const std::vector<double>& styles) {
  std::vector<float> lanes(size_t(round_up(int64_t(channels), kLanes)));
  for (size_t c = 0; c < channels; c++) {
    double sum = 0;
    for (size_t s = 0; s < styles.size(); s++) sum += styles[s] * double(table[s * channels + c]);
    lanes[c] = float(sum);
  }
  return lanes;
}

// Where index i of an extended side comes from.
int64_t reflected(int64_t i, int64_t side) {
  if (side == 1) return 0;
  i %= 2 * (side - 1);
  return i < side ? i : 2 * (side - 1) - i;
}

int64_t grain_of(int64_t rows, int threads) { return std::max<int64_t>(1, rows / (8 * std::max(threads, 1))); }

}  // namespace

struct GeneratorEngine::Run {
  std::vector<GraphMap> maps;
  std::vector<Sums> sums;    // of maps that are normalised
  std::vector<Lanes> lanes;  // of affine nodes: as the file has them, and then with the statistics of this picture
  int64_t height, width;     // extended
  int threads;
  uint8_t* out;  // the picture, cut to its own size
  int64_t out_height, out_width;
};

GeneratorEngine::GeneratorEngine(const Model& model) : Engine(model), graph_(model.graph) {
  size_t affines = 0;
  for (const Node& node : graph_.nodes) {
    if (const auto* convolution = std::get_if<Convolution>(&node)) {
      packed_.push_back(convolutions_.size());
      convolutions_.emplace_back(*convolution, graph_.maps[convolution->source], graph_.maps[convolution->target]);
    } else if (std::holds_alternative<Affine>(node)) {
      packed_.push_back(affines++);
    } else {
      packed_.push_back(0);
      painted_ = painted_by(std::get<Paint>(node).thresholds);
    }
  }
  plan_passes();
  plan_lives();
}

bool GeneratorEngine::joins(const Pass& pass, const Node& node) const {
  for (size_t i = pass.first; i < pass.last; i++)
    for (const uint32_t source : sources_of(node))
      if (target_of(graph_.nodes[i]) == source && !is_local(node)) return false;
  return true;
}

void GeneratorEngine::plan_passes() {
  for (size_t i = 0; i < graph_.nodes.size(); i++) {
    const Node& node = graph_.nodes[i];
    const auto target = target_of(node);
    const Sides sides = target ? graph_.maps[*target].sides : passes_.back().sides;  // the picture is its source's
    if (!passes_.empty() && passes_.back().sides == sides && joins(passes_.back(), node))
      passes_.back().last++;
    else
      passes_.push_back({i, i + 1, sides});
  }
}

void GeneratorEngine::plan_lives() {
  lives_.assign(graph_.maps.size(), {passes_.size(), 0});
  lives_[0].first = 0;  // the picture is there before the first pass
  for (size_t p = 0; p < passes_.size(); p++)
    for (size_t i = passes_[p].first; i < passes_[p].last; i++) {
      const Node& node = graph_.nodes[i];
      if (const auto target = target_of(node)) lives_[*target].first = std::min(lives_[*target].first, p);
      for (const uint32_t source : sources_of(node)) lives_[source].last = p;
    }
}

uint64_t GeneratorEngine::lay_out(int64_t height, int64_t width, std::vector<GraphMap>& maps,
                                  std::vector<uint64_t>& offsets) const {
  struct Place {
    uint64_t begin, end;
    Life life;
  };
  std::vector<Place> places;  // by their beginnings
  uint64_t total = 0;
  for (size_t m = 0; m < graph_.maps.size(); m++) {
    const MapKind& kind = graph_.maps[m];
    maps.emplace_back(kind, kind.sides.of(height), kind.sides.of(width));
    const Life& life = lives_[m];
    uint64_t begin = 0;
    const uint64_t bytes = maps.back().bytes();
    for (const Place& other : places) {  // the first gap between maps that live at the same time
      if (other.life.last < life.first || other.life.first > life.last) continue;
      if (checked_add(begin, bytes) <= other.begin) break;
      begin = std::max(begin, other.end);
    }
    const Place place{begin, checked_add(begin, bytes), life};
    const auto later = [](const Place& a, const Place& b) { return a.begin < b.begin; };
    places.insert(std::upper_bound(places.begin(), places.end(), place, later), place);
    offsets.push_back(begin);
    total = std::max(total, place.end);
  }
  return total;
}

int64_t GeneratorEngine::extended(int64_t side) const {
  if (side < 1 || side > kMaxSide) throw std::invalid_argument("a picture's sides must be 1 to 16777216 pixels");
  return round_up(std::max(side, graph_.least), graph_.step);
}

void GeneratorEngine::load(const Run& run, const uint8_t* picture, int64_t height, int64_t width) const {
  const GraphMap& map = run.maps[0];
  parallel_for(map.height, grain_of(map.height, run.threads), run.threads, [&](int, int64_t begin, int64_t end) {
    for (int64_t y = begin; y < end; y++) {
      const uint8_t* from = picture + reflected(y, height) * width * 3;
      std::memcpy(map.row(y), from, size_t(width) * 3);
      for (int64_t x = width; x < map.width; x++) std::memcpy(map.row(y) + x * 3, from + reflected(x, width) * 3, 3);
      map.fill_border(y, graph_.maps[0]);
    }
  });
}

// Slopes and offsets of the pass's normalising nodes, from the exact sums S1 of a channel's numbers and S2 of their squares
// over n positions, in float64 and in this order:
//   gain = slope / sqrt((n * S2 - S1^2) / (n * n) + epsilon)
//   offset = offset - (S1 / n) * gain
void GeneratorEngine::normalise(Run& run, const Pass& pass) const {
  using Exact = __int128;
  for (size_t i = pass.first; i < pass.last; i++) {
    const auto* node = std::get_if<Affine>(&graph_.nodes[i]);
    if (node == nullptr || !node->normalises) continue;
    const GraphMap& map = run.maps[node->source];
    const Sums& own = run.sums[node->source];
    const int64_t n = map.height * map.width;
    const double count = double(n);
    for (int c = 0; c < node->channels; c++) {
      int64_t sum = 0;
      uint64_t squares = 0;
      for (size_t at = size_t(c); at < own.sums.size(); at += size_t(map.pixel))
        sum += own.sums[at], squares += own.squares[at];
      const Exact spread = Exact(n) * Exact(squares) - Exact(sum) * sum;
      const double variance = double(spread) / (count * count) + double(node->epsilon[c]);
      float &slope = run.lanes[packed_[i]].slope[c], &offset = run.lanes[packed_[i]].offset[c];
      const double gain = double(slope) / std::sqrt(variance);
      slope = float(gain);
      offset = float(double(offset) - (double(sum) / count) * gain);
    }
  }
}

void GeneratorEngine::add_row(Run& run, uint32_t map, int64_t y, int slot) const {
  const GraphMap& made = run.maps[map];
  for (int64_t first = 0; first < made.pixel; first += kLanes) {
    const int64_t at = slot * made.pixel + first;
    kernels().sum_wide_row(made.wide_row(y) + first, made.width, made.pixel, run.sums[map].sums.data() + at,
                           run.sums[map].squares.data() + at);
  }
}

void GeneratorEngine::run_affine(const Run& run, size_t index, int64_t y) const {
  const Affine& node = std::get<Affine>(graph_.nodes[index]);
  const GraphMap &source = run.maps[node.source], &target = run.maps[node.target];
  const Lanes& lanes = run.lanes[packed_[index]];
  AffineRow row{};
  row.source = source.wide_row(y), row.slope = lanes.slope.data(), row.offset = lanes.offset.data();
  row.negative = node.negative, row.pixels = source.width, row.channels = source.pixel;
  if (node.wide) {
    row.addend = node.addend ? run.maps[*node.addend].wide_row(y) : nullptr;
    row.wide_target = target.wide_row(y);
    return kernels().wide_row(row);
  }
  row.zero = node.zero, row.target = target.row(y) + node.first, row.target_pixel = target.pixel;
  kernels().narrow_row(row);
  target.fill_border(y, graph_.maps[node.target]);
}

void GeneratorEngine::run_pass(Run& run, const Pass& pass) const {
  normalise(run, pass);
  const int64_t rows = pass.sides.of(run.height);
  const auto paint = [&](const GraphMap& map, int64_t y) {
    if (y >= run.out_height) return;
    uint8_t* to = run.out + y * run.out_width * 3;
    for (int64_t x = 0; x < run.out_width; x++)
      for (int c = 0; c < 3; c++) to[x * 3 + c] = painted_[map.wide_row(y)[x * map.pixel + c] + kWords / 2];
  };
  parallel_for(rows, grain_of(rows, run.threads), run.threads, [&](int slot, int64_t begin, int64_t end) {
    for (int64_t y = begin; y < end; y++)
      for (size_t i = pass.first; i < pass.last; i++) {
        const Node& node = graph_.nodes[i];
        if (const auto* convolution = std::get_if<Convolution>(&node)) {
          convolutions_[packed_[i]].run_row(run.maps[convolution->source], run.maps[convolution->target], y);
          if (graph_.maps[convolution->target].summed) add_row(run, convolution->target, y, slot);
        } else if (const auto* last = std::get_if<Paint>(&node)) {
          paint(run.maps[last->source], y);
        } else {
          run_affine(run, i, y);
        }
      }
  });
  count_calls(uint64_t(rows));
}

GeneratorEngine::Lanes GeneratorEngine::lanes_of(const Affine& node, const std::vector<double>& styles) const {
  const std::vector<double>& parts = node.styled && !styles.empty() ? styles : kFirst;
  const size_t channels = size_t(node.channels);
  return {mixed(node.slope, channels, parts), mixed(node.offset, channels, parts)};
}

void GeneratorEngine::translate(const uint8_t* picture, int64_t height, int64_t width, const std::vector<double>& styles,
                                uint8_t* out, int threads) const {
  if (!styles.empty() && styles.size() != size_t(graph_.styles))
    refuse_call("it has " + std::to_string(graph_.styles) + " styles, and parts are given of " + std::to_string(styles.size()));
  for (const double part : styles)
    if (!(part >= 0 && part <= 1)) throw std::invalid_argument("the part of a style must be 0 to 1");
  Run run{{}, std::vector<Sums>(graph_.maps.size()), {}, extended(height), extended(width), threads, out, height, width};
  for (const Node& node : graph_.nodes)
    if (const auto* affine = std::get_if<Affine>(&node)) run.lanes.push_back(lanes_of(*affine, styles));
  std::vector<uint64_t> offsets;
  const uint64_t bytes = lay_out(run.height, run.width, run.maps, offsets);
  Workspaces::Lease lease(workspaces_);
  Buffer& memory = (*lease).scratch;
  memory.reserve(bytes);
  for (size_t m = 0; m < run.maps.size(); m++) {
    run.maps[m].place(memory.data() + offsets[m]);
    if (!graph_.maps[m].summed) continue;
    const size_t lanes = size_t(run.maps[m].pixel) * size_t(threads);
    run.sums[m] = {std::vector<int64_t>(lanes), std::vector<uint64_t>(lanes)};
  }
  load(run, picture, height, width);
  for (const Pass& pass : passes_) run_pass(run, pass);
}

uint64_t GeneratorEngine::working_bytes(int64_t height, int64_t width, const Levels& levels, int threads) const {
  chosen(levels);
  std::vector<GraphMap> maps;
  std::vector<uint64_t> offsets;
  uint64_t bytes = lay_out(extended(height), extended(width), maps, offsets);
  for (size_t m = 0; m < maps.size(); m++)
    if (graph_.maps[m].summed) bytes += uint64_t(maps[m].pixel) * uint64_t(threads) * (sizeof(int64_t) + sizeof(uint64_t));
  return bytes;
}

}  // namespace fastnst
