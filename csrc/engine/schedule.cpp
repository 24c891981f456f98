#include "engine/schedule.h"

#include <algorithm>
#include <functional>

#include "base/checked.h"
#include "engine/kernels/kernels.h"

namespace fastnst {
namespace {

// Multiply-adds that take as long as a byte that is put aside, or comes back, and as what there is to every number that a node
// writes. With these a published CycleGAN computes its first and last large maps again, instead of 4 GB of files, and a narrow
// network of depthwise layers puts nearly all aside: again, it took half as much processor time more.
constexpr double kByteCost = 160, kNumberCost = 64;

bool is_normalising(const Node& node) {
  const auto* affine = std::get_if<Affine>(&node);
  return affine != nullptr && affine->normalises;
}

// Whether row y of what a node writes needs nothing but row y of what it reads.
bool is_local(const Node& node) {
  if (const auto* convolution = std::get_if<Convolution>(&node)) return convolution->kernel == 1;
  return !is_normalising(node);
}

struct RowRange {
  int64_t first, last;
};

// Rows of its source that a node reads for row y.
RowRange read_rows(const Node& node, int64_t y) {
  const auto* convolution = std::get_if<Convolution>(&node);
  if (convolution == nullptr) return {y, y};
  if (convolution->form == Form::transposed) return {y / 2 - 1, y / 2 + 1};
  const int64_t first = y * convolution->stride - convolution->reach();
  return {first, first + convolution->kernel - 1};
}

Sides sides_of(const Graph& graph, const Node& node) {
  return graph.maps[target_of(node).value_or(sources_of(node).front())].sides;
}

// Of a map, for each pixel of the picture.
double numbers_of(const MapKind& map) {
  const double lanes = map.tight ? 3 : double(round_up(map.channels, kLanes));
  return lanes / double(int64_t(1) << 2 * map.sides.halvings());
}

double work_of(const Graph& graph, const Node& node) {
  const auto* convolution = std::get_if<Convolution>(&node);
  if (convolution == nullptr) return 0;
  const double taps = double(convolution->kernel * convolution->kernel) / (convolution->form == Form::transposed ? 4 : 1);
  return taps * (convolution->form == Form::depthwise ? 1 : convolution->inputs) * numbers_of(graph.maps[convolution->target]);
}

bool joins(const Graph& graph, const Pass& pass, const Node& node) {
  for (const size_t i : pass.nodes)
    for (const uint32_t source : sources_of(node))
      if (target_of(graph.nodes[i]) == source && !is_local(node)) return false;
  return true;
}

// `nodes`: in the order of the graph.
std::vector<Pass> passes_of(const Graph& graph, const std::vector<bool>& nodes) {
  std::vector<Pass> passes;
  for (size_t i = 0; i < graph.nodes.size(); i++) {
    if (!nodes[i]) continue;
    const Sides sides = sides_of(graph, graph.nodes[i]);
    if (passes.empty() || passes.back().sides != sides || !joins(graph, passes.back(), graph.nodes[i]))
      passes.push_back({{}, sides});
    passes.back().nodes.push_back(i);
  }
  return passes;
}

// Cuts a graph into segments.
class Cutter {
 public:
  explicit Cutter(const Graph& graph) : graph_(graph), maps_(graph.maps.size()), levels_(graph.nodes.size()) {
    for (size_t i = 0; i < graph.nodes.size(); i++) {
      const Node& node = graph.nodes[i];
      const int after = is_normalising(node) ? 1 : 0;
      for (const uint32_t source : sources_of(node)) levels_[i] = std::max(levels_[i], maps_[source].level);
      levels_[i] += after;
      if (const auto target = target_of(node)) {
        maps_[*target].writers.push_back(i);
        maps_[*target].level = std::max(maps_[*target].level, levels_[i]);
      }
    }
    // Parts of one map are written in one segment, the last one's.
    for (const Map& map : maps_)
      for (const size_t i : map.writers) levels_[i] = map.level;
    for (size_t i = 0; i < graph.nodes.size(); i++)
      for (const uint32_t source : sources_of(graph.nodes[i])) maps_[source].crosses |= levels_[i] > maps_[source].level;
    for (uint32_t m = 0; m < maps_.size(); m++) cost_again(m);
  }

  std::vector<Segment> segments() {
    std::vector<Segment> segments;
    const int last = *std::max_element(levels_.begin(), levels_.end());
    for (int level = 0; level <= last; level++) {
      Segment segment{{}, std::vector<Use>(maps_.size()), 0};
      std::vector<bool> nodes(graph_.nodes.size());
      for (size_t i = 0; i < levels_.size(); i++)
        if (levels_[i] == level && is_wanted(i)) add(segment, nodes, i, level);
      segment.passes = passes_of(graph_, nodes);
      if (!segment.passes.empty()) segments.push_back(std::move(segment));
    }
    for (size_t s = 0; s < segments.size(); s++)  // nothing is kept that nobody reads
      for (size_t m = 0; m < maps_.size(); m++)
        segments[s].maps[m].kept &= std::any_of(segments.begin() + int64_t(s) + 1, segments.end(),
                                                [&](const Segment& later) { return later.maps[m].loaded; });
    segments.front().maps[0].kept = true;
    return segments;
  }

 private:
  struct Map {
    std::vector<size_t> writers;
    int level = 0;         // the segment that makes it
    bool crosses = false;  // it is read in a later one
    bool kept = false;     // and put aside for that
    double again = -1;     // what it costs to compute it once more
  };

  // Whether its segment is there for what a node writes; all else is made where that needs it.
  bool is_wanted(size_t i) const {
    const auto target = target_of(graph_.nodes[i]);
    return !target || maps_[*target].kept || graph_.maps[*target].summed;
  }

  double move(uint32_t m) const { return kByteCost * numbers_of(graph_.maps[m]) * (graph_.maps[m].wide ? 2 : 1); }

  // What a map costs in a later segment than its own; decides whether it is put aside.
  double cost_again(uint32_t m) {
    Map& map = maps_[m];
    if (m == 0) map.kept = true, map.again = move(m);
    if (map.again >= 0) return map.again;
    map.again = 0;
    for (const size_t i : map.writers) {
      map.again += work_of(graph_, graph_.nodes[i]) + kNumberCost * numbers_of(graph_.maps[m]);
      for (const uint32_t source : sources_of(graph_.nodes[i])) map.again += cost_again(source);
    }
    map.kept = map.crosses && map.again >= 2 * move(m);
    if (map.kept) map.again = move(m);
    return map.again;
  }

  void add(Segment& segment, std::vector<bool>& nodes, size_t i, int level) {
    if (nodes[i]) return;
    nodes[i] = true;
    const Node& node = graph_.nodes[i];
    segment.work += work_of(graph_, node);
    if (const auto target = target_of(node)) {
      Use& use = segment.maps[*target];
      const bool own = maps_[*target].level == level;
      use.made = true, use.kept = own && maps_[*target].kept, use.summed = own && graph_.maps[*target].summed;
    }
    for (const uint32_t source : sources_of(node)) {
      if (source == 0 || (maps_[source].kept && maps_[source].level < level))
        segment.maps[source].loaded = true;
      else
        for (const size_t writer : maps_[source].writers) add(segment, nodes, writer, level);
    }
  }

  const Graph& graph_;
  std::vector<Map> maps_;
  std::vector<int> levels_;  // of nodes
};

}  // namespace

std::vector<uint32_t> sources_of(const Node& node) {
  if (const auto* convolution = std::get_if<Convolution>(&node)) return {convolution->source};
  if (const auto* paint = std::get_if<Paint>(&node)) return {paint->source};
  const Affine& affine = std::get<Affine>(node);
  std::vector<uint32_t> sources{affine.source};
  if (affine.addend) sources.push_back(*affine.addend);
  return sources;
}

std::optional<uint32_t> target_of(const Node& node) {
  if (const auto* convolution = std::get_if<Convolution>(&node)) return convolution->target;
  if (const auto* affine = std::get_if<Affine>(&node)) return affine->target;
  return std::nullopt;
}

Segment whole_schedule(const Graph& graph) {
  Segment segment{passes_of(graph, std::vector<bool>(graph.nodes.size(), true)), {}, 0};
  for (size_t m = 0; m < graph.maps.size(); m++) segment.maps.push_back({m == 0, m > 0, false, graph.maps[m].summed});
  for (const Node& node : graph.nodes) segment.work += work_of(graph, node);
  return segment;
}

std::vector<Segment> banded_schedule(const Graph& graph) { return Cutter(graph).segments(); }

Progression progress_of(const Graph& graph, const Segment& segment, int64_t height, int64_t rows) {
  const auto height_of = [&](uint32_t m) { return graph.maps[m].sides.of(height); };
  const auto wanted = [&](const Sides& sides) { return std::min(sides.of(height), rows >> sides.halvings()); };
  Progression reached{std::vector<int64_t>(segment.passes.size()), std::vector<int64_t>(graph.maps.size()), {}};
  for (size_t m = 0; m < graph.maps.size(); m++)
    if (segment.maps[m].kept || segment.maps[m].summed) reached.complete[m] = wanted(graph.maps[m].sides);
  reached.begun = reached.complete;
  for (size_t p = segment.passes.size(); p-- > 0;) {
    const Pass& pass = segment.passes[p];
    int64_t& end = reached.passes[p];
    for (const size_t i : pass.nodes) {
      const auto target = target_of(graph.nodes[i]);
      end = std::max(end, target ? reached.complete[*target] : wanted(pass.sides));
    }
    for (const size_t i : pass.nodes) {
      if (const auto target = target_of(graph.nodes[i])) reached.begun[*target] = std::max(reached.begun[*target], end);
      for (const uint32_t source : sources_of(graph.nodes[i])) {
        const int64_t needed = end > 0 ? read_rows(graph.nodes[i], end - 1).last + 1 : 0;
        reached.complete[source] = std::max(reached.complete[source], std::min(needed, height_of(source)));
        reached.begun[source] = std::max(reached.begun[source], reached.complete[source]);
      }
    }
  }
  return reached;
}

std::vector<int64_t> rows_needed(const Graph& graph, const Segment& segment, int64_t height, const Progression& reached) {
  std::vector<int64_t> first = reached.complete;
  for (size_t p = 0; p < segment.passes.size(); p++) {
    if (reached.passes[p] == segment.passes[p].sides.of(height)) continue;
    for (const size_t i : segment.passes[p].nodes)
      for (const uint32_t source : sources_of(graph.nodes[i]))
        first[source] = std::min(first[source], read_rows(graph.nodes[i], reached.passes[p]).first);
  }
  for (size_t m = 0; m < first.size(); m++) first[m] = std::max<int64_t>(first[m], -graph.maps[m].border);
  return first;
}

// The first band of a picture without end needs the most: rows from the border to as far as its readers look ahead. From then
// on each map moves on by the rows of a band, and what is no longer needed by at least as much. At the lower edge the border
// is filled from rows up to its own width before.
std::vector<int64_t> window_rows(const Graph& graph, const Segment& segment, int64_t height, int64_t band) {
  constexpr int64_t kEndless = int64_t(1) << 48;
  const Progression first = progress_of(graph, segment, kEndless, band);
  std::vector<int64_t> rows;
  for (size_t m = 0; m < graph.maps.size(); m++) {
    const MapKind& map = graph.maps[m];
    rows.push_back(std::min(map.sides.of(height) + 2 * map.border, first.begun[m] + 3 * map.border));
  }
  return rows;
}

int64_t reflected(int64_t i, int64_t side) {
  if (side == 1) return 0;
  i %= 2 * (side - 1);
  return i < side ? i : 2 * (side - 1) - i;
}

int64_t band_unit(const Graph& graph) {
  int64_t unit = 1;
  for (const MapKind& map : graph.maps) unit = std::max(unit, int64_t(1) << map.sides.downs);
  return unit;
}

int64_t rows_of(const Graph& graph, int64_t height) {
  int64_t rows = height;
  for (const MapKind& map : graph.maps) rows = std::max(rows, map.sides.of(height) << map.sides.halvings());
  return rows;
}

}  // namespace fastnst
