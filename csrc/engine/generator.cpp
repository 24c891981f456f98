#include "engine/generator.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <stdexcept>
#include <utility>

#include "base/checked.h"
#include "base/parallel.h"
#include "engine/kernels/table.h"

namespace fastnst {
namespace {

constexpr int64_t kMaxSide = int64_t(1) << 24;
constexpr int kWords = 65536;
const std::vector<double> kFirst{1.0};

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

int64_t grain_of(int64_t rows, int threads) { return std::max<int64_t>(1, rows / (8 * std::max(threads, 1))); }

}  // namespace

GeneratorEngine::GeneratorEngine(const Model& model)
    : Engine(model), graph_(model.graph), whole_(whole_schedule(graph_)), segments_(segments_of(graph_)) {
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
}

// Where all rows are there at once, maps that are not needed at the same time share memory.
GeneratorEngine::Layout GeneratorEngine::lay_out(const Segment& segment, int64_t height, int64_t width, int64_t band) const {
  struct Place {
    uint64_t begin, end;
    size_t first, last;  // passes, both included
  };
  const bool at_once = band >= rows_of(graph_, height);
  const size_t passes = segment.passes.size();
  std::vector<Place> lives(graph_.maps.size(), {0, 0, passes, 0});
  for (size_t m = 0; m < lives.size(); m++) {
    if (!at_once || segment.maps[m].loaded) lives[m].first = 0;
    if (!at_once || segment.maps[m].kept) lives[m].last = passes;
  }
  for (size_t p = 0; p < passes; p++)
    for (const size_t i : segment.passes[p].nodes) {
      const auto live = [&, p](uint32_t m) {
        lives[m].first = std::min(lives[m].first, p), lives[m].last = std::max(lives[m].last, p);
      };
      if (const auto target = target_of(graph_.nodes[i])) live(*target);
      for (const uint32_t source : sources_of(graph_.nodes[i])) live(source);
    }
  const std::vector<int64_t> rows = at_once ? std::vector<int64_t>() : windows(segment, height, band);
  Layout layout;
  std::vector<Place> places;  // by their beginnings
  for (size_t m = 0; m < graph_.maps.size(); m++) {
    const MapKind& kind = graph_.maps[m];
    layout.maps.emplace_back(kind, kind.sides.of(height), kind.sides.of(width),
                             at_once ? std::nullopt : std::optional(rows[m]));
    layout.offsets.push_back(0);
    if (!segment.maps[m].here()) continue;
    Place place = lives[m];
    const uint64_t bytes = layout.maps.back().bytes();
    for (const Place& other : places) {  // the first gap between maps that live at the same time
      if (other.last < place.first || other.first > place.last) continue;
      if (checked_add(place.begin, bytes) <= other.begin) break;
      place.begin = std::max(place.begin, other.end);
    }
    place.end = checked_add(place.begin, bytes);
    const auto later = [](const Place& a, const Place& b) { return a.begin < b.begin; };
    places.insert(std::upper_bound(places.begin(), places.end(), place, later), place);
    layout.offsets.back() = place.begin;
    layout.bytes = std::max(layout.bytes, place.end);
  }
  return layout;
}

int64_t GeneratorEngine::extended(int64_t side) const {
  if (side < 1 || side > kMaxSide) throw std::invalid_argument("a picture's sides must be 1 to 16777216 pixels");
  return round_up(std::max(side, graph_.least), graph_.step);
}

void GeneratorEngine::load(const Run& run, int64_t begin, int64_t end, const RowOf& row_of) const {
  const GraphMap& map = run.maps[0];
  const int64_t width = run.out_width;
  parallel_for(end - begin, grain_of(end - begin, run.threads), run.threads, [&](int, int64_t some, int64_t last) {
    for (int64_t y = begin + some; y < begin + last; y++) {
      const uint8_t* from = row_of(y);
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
  for (const size_t i : pass.nodes) {
    const auto* node = std::get_if<Affine>(&graph_.nodes[i]);
    if (node == nullptr || !node->normalises || run.lanes[packed_[i]].complete) continue;
    Lanes& lanes = run.lanes[packed_[i]];
    const GraphMap& map = run.maps[node->source];
    const Sums& own = run.sums[node->source];
    const int64_t n = map.height * map.width;
    const double count = double(n);
    for (size_t c = 0; c < size_t(node->channels); c++) {
      const Sums::Exact sum = own.sums[c], spread = Sums::Exact(n) * own.squares[c] - sum * sum;
      const double variance = double(spread) / (count * count) + double(node->epsilon[c]);
      const double gain = double(lanes.slope[c]) / std::sqrt(variance);
      lanes.slope[c] = float(gain);
      lanes.offset[c] = float(double(lanes.offset[c]) - (double(sum) / count) * gain);
    }
    lanes.complete = true;
  }
}

void GeneratorEngine::add_row(Run& run, uint32_t map, int64_t y, int slot) const {
  const GraphMap& made = run.maps[map];
  for (int64_t first = 0; first < made.pixel; first += kLanes) {
    const int64_t at = slot * made.pixel + first;
    kernels().sum_wide_row(made.wide_row(y) + first, made.width, made.pixel, run.sums[map].own.data() + at,
                           run.sums[map].own_squares.data() + at);
  }
}

// Those of the maps that a pass writes.
void GeneratorEngine::settle_sums(Run& run, const Segment& segment, const Pass& pass) const {
  for (const size_t i : pass.nodes) {
    const auto target = target_of(graph_.nodes[i]);
    if (!target || !segment.maps[*target].summed) continue;
    Sums& sums = run.sums[*target];
    for (size_t at = 0; at < sums.own.size(); at++) {
      sums.sums[at % sums.sums.size()] += std::exchange(sums.own[at], 0);
      sums.squares[at % sums.sums.size()] += std::exchange(sums.own_squares[at], 0);
    }
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

void GeneratorEngine::paint(const Run& run, const Paint& node, int64_t y) const {
  if (y >= run.out_height) return;
  const GraphMap& map = run.maps[node.source];
  uint8_t* to = run.out + y * run.out_width * 3;
  for (int64_t x = 0; x < run.out_width; x++)
    for (int c = 0; c < 3; c++) to[x * 3 + c] = painted_[map.wide_row(y)[x * map.pixel + c] + kWords / 2];
}

void GeneratorEngine::run_pass(Run& run, const Segment& segment, const Pass& pass, int64_t from, int64_t to) const {
  normalise(run, pass);
  parallel_for(to - from, grain_of(to - from, run.threads), run.threads, [&](int slot, int64_t begin, int64_t end) {
    for (int64_t y = from + begin; y < from + end; y++)
      for (const size_t i : pass.nodes) {
        const Node& node = graph_.nodes[i];
        if (const auto* convolution = std::get_if<Convolution>(&node)) {
          convolutions_[packed_[i]].run_row(run.maps[convolution->source], run.maps[convolution->target], y);
          if (segment.maps[convolution->target].summed) add_row(run, convolution->target, y, slot);
        } else if (const auto* last = std::get_if<Paint>(&node)) {
          paint(run, *last, y);
        } else {
          run_affine(run, i, y);
        }
      }
  });
  count_calls(uint64_t(to - from));
  settle_sums(run, segment, pass);
}

GeneratorEngine::Lanes GeneratorEngine::lanes_of(const Affine& node, const std::vector<double>& styles) const {
  const std::vector<double>& parts = node.styled && !styles.empty() ? styles : kFirst;
  const size_t channels = size_t(node.channels);
  return {mixed(node.slope, channels, parts), mixed(node.offset, channels, parts), false};
}

GeneratorEngine::Run GeneratorEngine::prepare(int64_t height, int64_t width, const std::vector<double>& styles,
                                              int threads) const {
  if (!styles.empty() && styles.size() != size_t(graph_.styles))
    refuse_call("it has " + std::to_string(graph_.styles) + " styles, and parts are given of " + std::to_string(styles.size()));
  for (const double part : styles)
    if (!(part >= 0 && part <= 1)) throw std::invalid_argument("the part of a style must be 0 to 1");
  Run run{{}, {}, {}, extended(height), extended(width), threads, nullptr, height, width};
  for (const Node& node : graph_.nodes)
    if (const auto* affine = std::get_if<Affine>(&node)) run.lanes.push_back(lanes_of(*affine, styles));
  for (const MapKind& kind : graph_.maps) {
    const size_t lanes = kind.summed ? size_t(GraphMap(kind, 1, 1).pixel) : 0, all = lanes * size_t(threads);
    run.sums.push_back({std::vector<int64_t>(all), std::vector<uint64_t>(all), std::vector<Sums::Exact>(lanes),
                        std::vector<Sums::Exact>(lanes)});
  }
  return run;
}

void GeneratorEngine::place(Run& run, const Segment& segment, int64_t band, Buffer& memory) const {
  Layout layout = lay_out(segment, run.height, run.width, band);
  memory.reserve(layout.bytes);
  run.maps = std::move(layout.maps);
  for (size_t m = 0; m < run.maps.size(); m++)
    if (segment.maps[m].here()) run.maps[m].place(memory.data() + layout.offsets[m]);
}

void GeneratorEngine::translate(const uint8_t* picture, int64_t height, int64_t width, const std::vector<double>& styles,
                                uint8_t* out, int threads) const {
  Run run = prepare(height, width, styles, threads);
  Workspaces::Lease lease(workspaces_);
  place(run, whole_, kWhole, (*lease).scratch);
  run.out = out;
  load(run, 0, run.height, [&](int64_t y) { return picture + reflected(y, height) * width * 3; });
  for (const Pass& pass : whole_.passes) run_pass(run, whole_, pass, 0, pass.sides.of(run.height));
}

Tiling GeneratorEngine::at_once(int64_t height, int64_t width, const Levels& levels, int threads) const {
  const uint64_t rows = checked_multiply(uint64_t(height), uint64_t(width) * 3);
  return {height, width, true, checked_add(working_bytes(height, width, levels, threads), 2 * rows)};
}

void GeneratorEngine::translate_at_once(const RowIO& content, const std::vector<double>& styles) const {
  const uint64_t bytes = checked_multiply(checked_multiply(uint64_t(content.height), uint64_t(content.width)), 3);
  Buffer picture(bytes), out(bytes);
  content.read(0, content.height, picture.data());
  translate(picture.data(), content.height, content.width, styles, out.data(), content.threads);
  content.write(out.data(), content.height);
  content.tell(1);
}

uint64_t GeneratorEngine::sum_bytes(int threads) const {
  uint64_t bytes = 0;
  for (const MapKind& kind : graph_.maps)
    if (kind.summed)
      bytes += 2 * uint64_t(GraphMap(kind, 1, 1).pixel) * (uint64_t(threads) * sizeof(int64_t) + sizeof(Sums::Exact));
  return bytes;
}

uint64_t GeneratorEngine::working_bytes(int64_t height, int64_t width, const Levels& levels, int threads) const {
  chosen(levels);
  return checked_add(lay_out(whole_, extended(height), extended(width), kWhole).bytes, sum_bytes(threads));
}

}  // namespace fastnst
