#include "engine/graph.h"

#include <algorithm>
#include <cmath>

namespace fastnst {
namespace {

constexpr uint32_t kMaxNodes = 1024, kMaxChannels = 65536, kMaxStyles = 1024;
constexpr int kMaxHalvings = 16, kThresholds = 255, kBlock = 16, kLargestKernel = 9;
constexpr uint32_t kConvolution = 1, kAffine = 2, kPaint = 3;

class GraphReader {
 public:
  GraphReader(Cursor& cursor, bool own_sides, std::optional<uint32_t> styles) : cursor_(cursor), own_sides_(own_sides) {
    graph_.maps.push_back({.channels = 3, .tight = true});
    if (!styles) return;
    if (*styles == 0 || *styles > kMaxStyles) refuse("a number of styles outside 1.." + std::to_string(kMaxStyles));
    graph_.styles = int(*styles);
  }

  Graph read(uint32_t nodes) {
    if (nodes == 0 || nodes > kMaxNodes) refuse("a number of nodes outside 1.." + std::to_string(kMaxNodes));
    for (uint32_t i = 0; i < nodes; i++) {
      where_ = "node " + std::to_string(i + 1);
      const auto type = cursor_.number<uint32_t>();
      if ((type == kPaint) != (i + 1 == nodes)) refuse(where_ + ": the last node, and no other, paints the picture");
      if (type == kConvolution)
        read_convolution();
      else if (type == kAffine)
        read_affine();
      else if (type == kPaint)
        read_paint();
      else
        refuse(where_ + ": an unknown type");
    }
    for (const MapKind& map : graph_.maps)
      if (!map.read) refuse("a map that no node reads");
    if (graph_.styles > 0 && !styled_) refuse("styles that no node has");
    find_sizes();
    return std::move(graph_);
  }

 private:
  uint32_t below(uint32_t limit, const char* what) {
    const auto number = cursor_.number<uint32_t>();
    if (number >= limit) refuse(where_ + ": " + what + " outside 0.." + std::to_string(limit - 1));
    return number;
  }

  int channels() {
    const auto count = cursor_.number<uint32_t>();
    if (count == 0 || count > kMaxChannels) refuse(where_ + ": a channel count outside 1.." + std::to_string(kMaxChannels));
    return int(count);
  }

  // The map that a node reads.
  MapKind& source(uint32_t number, bool wide) {
    if (number >= graph_.maps.size()) refuse(where_ + ": reads a map that none has written yet");
    MapKind& map = graph_.maps[number];
    if (map.wide != wide) refuse(where_ + (wide ? ": reads bytes where 16 bits belong" : ": reads 16 bits where bytes belong"));
    map.read = true;
    return map;
  }

  void expect_channels(const MapKind& map, int count) {
    if (map.channels != count)
      refuse(where_ + ": takes " + std::to_string(count) + " channels where " + std::to_string(map.channels) + " arrive");
  }

  // Maps that must be of one size.
  void meet(const MapKind& a, const MapKind& b, const char* otherwise) {
    if (a.sides.halvings() != b.sides.halvings()) refuse(where_ + ": " + otherwise);
    if (a.sides != b.sides) whole_ = true;
  }

  // The target is a new map.
  void write(uint32_t number, const MapKind& map) {
    if (number != graph_.maps.size()) refuse(where_ + ": writes a map that is not the next one");
    graph_.maps.push_back(map);
  }

  std::vector<float> finite(int count, const char* what) {
    constexpr float kMost = 1e20f;  // products with 16 bits, and their sums, stay far within float's range
    std::vector<float> values = cursor_.array<float>(uint64_t(count));
    for (const float value : values)
      if (!(std::abs(value) <= kMost)) refuse(where_ + ": " + what + " that is not an ordinary number");
    return values;
  }

  void read_convolution();
  void surround(MapKind& map, const Convolution& node);
  void read_affine();
  void read_paint();
  void find_sizes();

  Cursor& cursor_;
  bool own_sides_;       // and what came with it: kernels of 9, repeated borders
  bool styled_ = false;  // a node differs from style to style
  bool whole_ = false;   // a node needs sides that can be halved without rounding
  Graph graph_;
  std::string where_;
};

bool is_known(const Convolution& node) {
  const int k = node.kernel;
  if (node.form == Form::depthwise) return k == 3 && node.stride == 1 && node.inputs == node.outputs;
  if (node.form == Form::transposed) return (k == 3 || k == 4) && node.stride == 2 && node.border != Edges::reflected;
  return node.stride == 1 ? k == 1 || k == 3 || k == 7 || k == kLargestKernel : (k == 3 || k == 4) && node.stride == 2;
}

void GraphReader::read_convolution() {
  Convolution node;
  node.source = cursor_.number<uint32_t>(), node.target = cursor_.number<uint32_t>();
  node.inputs = channels(), node.outputs = channels();
  node.kernel = int(below(own_sides_ ? kLargestKernel + 1 : 8, "a kernel")), node.stride = int(below(3, "a stride"));
  node.form = Form(below(3, "a form")), node.border = Edges(below(own_sides_ ? 3 : 2, "a kind of border"));
  node.outside = int(below(256, "a value beyond the edges"));
  const auto coded = cursor_.number<uint32_t>();
  if (!is_known(node)) refuse(where_ + ": a convolution of an unknown shape");
  MapKind& map = source(node.source, false);
  expect_channels(map, node.inputs);
  surround(map, node);
  const uint64_t taps = uint64_t(node.kernel) * node.kernel, inputs = node.form == Form::depthwise ? 1 : uint64_t(node.inputs);
  node.weights = cursor_.weights(checked_multiply(taps * inputs, uint64_t(node.outputs)), coded, where_);
  node.bias = cursor_.array<int32_t>(uint64_t(node.phases()) * uint64_t(node.outputs));
  node.multiplier = cursor_.array<float>(uint64_t(node.outputs));
  for (auto bias = node.bias.begin(); bias != node.bias.end(); bias += node.outputs)
    prove_safe(node.weights, {bias, bias + node.outputs}, node.multiplier, where_);
  if (node.kernel == 4 && node.form == Form::full && map.sides.ups == 0) whole_ = true;  // it would round down
  const Sides sides = node.form == Form::transposed ? map.sides.doubled() : node.stride == 2 ? map.sides.halved() : map.sides;
  if (sides.halvings() < 0 || sides.halvings() > kMaxHalvings)
    refuse(where_ + ": a map larger than the picture, or halved more than " + std::to_string(kMaxHalvings) + " times");
  write(node.target, {.channels = node.outputs, .wide = true, .sides = sides});
  graph_.nodes.emplace_back(std::move(node));
}

// Notes what border the readers of a map need; one kind of border for all of them.
void GraphReader::surround(MapKind& map, const Convolution& node) {
  const int reach = node.form == Form::transposed ? 1 : node.reach();
  if (reach == 0) return;
  if (map.border > 0 && (map.kind != node.border || map.outside != node.outside))
    refuse(where_ + ": reads a map whose border another node wants otherwise");
  map.border = std::max(map.border, reach);
  map.kind = node.border, map.outside = node.outside;
}

void GraphReader::read_affine() {
  Affine node;
  node.source = cursor_.number<uint32_t>(), node.target = cursor_.number<uint32_t>();
  const auto addend = cursor_.number<uint32_t>();
  node.channels = channels();
  node.normalises = below(2, "a flag") == 1, node.wide = below(2, "a flag") == 1;
  node.zero = int(below(256, "a zero point"));
  if (graph_.styles > 0) node.styled = below(2, "a flag") == 1;
  styled_ |= node.styled;
  node.negative = cursor_.number<float>();
  if (!(node.negative >= 0 && node.negative <= 1)) refuse(where_ + ": a slope of negative numbers outside 0..1");
  if (node.wide && node.zero != 0) refuse(where_ + ": a zero point for 16 bits");
  const int pairs = node.channels * (node.styled ? graph_.styles : 1);
  node.slope = finite(pairs, "a slope"), node.offset = finite(pairs, "an offset");
  MapKind& map = source(node.source, true);
  expect_channels(map, node.channels);
  if (node.normalises) {
    const auto writes = [&](const Node& each) {
      const auto* convolution = std::get_if<Convolution>(&each);
      return convolution != nullptr && convolution->target == node.source;
    };
    if (std::none_of(graph_.nodes.begin(), graph_.nodes.end(), writes))
      refuse(where_ + ": normalises what is not the sums of a convolution");
    map.summed = true;
    node.epsilon = cursor_.array<float>(uint64_t(node.channels));
    for (const float value : node.epsilon)
      if (!is_scale(value)) refuse(where_ + ": an epsilon that is not a positive, ordinary number");
  }
  MapKind target{.channels = node.channels, .wide = node.wide, .sides = map.sides};
  if (addend != 0) {  // 0 is the picture, which nothing can be added to
    if (!node.wide) refuse(where_ + ": adds to bytes");
    node.addend = addend;
    const MapKind& added = source(addend, true);
    expect_channels(added, node.channels);
    meet(added, target, "adds a map of another size");
  }
  if (node.target < graph_.maps.size() && node.target != 0 && !node.wide) {
    MapKind& whole = graph_.maps[node.target];
    if (whole.wide || whole.read) refuse(where_ + ": writes a map that is written already");
    meet(whole, target, "writes beside a map of another size");
    node.first = int(round_up(whole.channels, kBlock));
    whole.channels = node.first + node.channels;
    if (uint32_t(whole.channels) > kMaxChannels) refuse(where_ + ": more channels than any map may have");
  } else {
    write(node.target, target);
  }
  graph_.nodes.emplace_back(std::move(node));
}

void GraphReader::read_paint() {
  Paint node;
  node.source = cursor_.number<uint32_t>();
  node.thresholds = cursor_.array<int16_t>(kThresholds);
  if (!std::is_sorted(node.thresholds.begin(), node.thresholds.end())) refuse(where_ + ": thresholds that are not in order");
  const bool shared = node.source < graph_.maps.size() && graph_.maps[node.source].read;
  MapKind& map = source(node.source, true);
  expect_channels(map, 3);
  if (shared) refuse(where_ + ": paints a map that another node reads as well");
  if (map.sides.halvings() != 0) refuse(where_ + ": paints a map smaller than the picture");
  const auto* last = graph_.nodes.empty() ? nullptr : std::get_if<Convolution>(&graph_.nodes.back());
  if (last == nullptr || last->target != node.source) refuse(where_ + ": paints what is not the sums of the node before it");
  map.tight = last->form == Form::full && last->stride == 1;
  graph_.nodes.emplace_back(std::move(node));
}

void GraphReader::find_sizes() {
  for (const MapKind& map : graph_.maps) {
    if (whole_ || !own_sides_) graph_.step = std::max(graph_.step, int64_t(1) << map.sides.halvings());
    if (map.kind == Edges::reflected) graph_.least = std::max(graph_.least, map.sides.needed(map.border + 1));
  }
  graph_.least = round_up(graph_.least, graph_.step);
}

}  // namespace

Graph read_graph(Cursor& cursor, uint32_t nodes, bool own_sides, std::optional<uint32_t> styles) {
  return GraphReader(cursor, own_sides, styles).read(nodes);
}

}  // namespace fastnst
