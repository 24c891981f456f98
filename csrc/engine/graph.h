// The content of a generator's file: nodes that write numbered maps. What they compute is described in
// fastnst/format/graphfile.py.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "engine/fields.h"

namespace fastnst {

enum class Form : uint32_t { full = 0, depthwise = 1, transposed = 2 };
enum class Edges : uint32_t { constant = 0, reflected = 1, repeated = 2 };

// The sides of a map beside those of the picture: halved `downs` times, rounded up each time, and then doubled `ups` times.
struct Sides {
  int downs = 0, ups = 0;

  bool operator==(const Sides&) const = default;
  int halvings() const { return downs - ups; }
  Sides halved() const { return ups > 0 ? Sides{downs, ups - 1} : Sides{downs + 1, 0}; }
  Sides doubled() const { return {downs, ups + 1}; }
  int64_t of(int64_t side) const { return (side + (int64_t(1) << downs) - 1) >> downs << ups; }
  // The shortest side of a picture with which the map's has `least` pixels.
  int64_t needed(int64_t least) const { return ((((least + (int64_t(1) << ups) - 1) >> ups) - 1) << downs) + 1; }
};

// From a map of bytes to one of 16 bits.
struct Convolution {
  uint32_t source = 0, target = 0;
  int inputs = 0, outputs = 0, kernel = 0, stride = 1;
  Form form = Form::full;
  Edges border = Edges::constant;  // what the source is beyond its edges; if constant, `outside` everywhere
  int outside = 0;
  std::vector<int8_t> weights;    // [outputs][kernel][kernel][inputs], depthwise: [outputs][kernel][kernel]
  std::vector<int32_t> bias;      // [outputs], transposed: [4][outputs]
  std::vector<float> multiplier;  // [outputs]

  int phases() const { return form == Form::transposed ? 4 : 1; }
  int reach() const { return (kernel - 1) / 2; }  // pixels that a window goes beyond the edge of its source
};

// From a map of 16 bits to one of bytes, or to one of 16 bits with the addition of another.
struct Affine {
  uint32_t source = 0, target = 0;
  std::optional<uint32_t> addend;
  int first = 0, channels = 0;  // of the target: several nodes may write one map of bytes, side by side
  bool normalises = false, wide = false;
  int zero = 0;
  float negative = 1;
  bool styled = false;               // there is a slope and an offset for each style of the graph
  std::vector<float> slope, offset;  // [channels], or [styles][channels]
  std::vector<float> epsilon;        // [channels] if it normalises
};

// From a map of 16 bits and three channels to the picture: each number becomes the count of thresholds that it reaches.
struct Paint {
  uint32_t source = 0;
  std::vector<int16_t> thresholds;  // [255], none below the one before it
};

using Node = std::variant<Convolution, Affine, Paint>;

// A map, as the nodes that write and read it want it. The picture is map 0.
struct MapKind {
  int channels = 0;  // with what lies unused between the parts of several writers
  bool wide = false;
  Sides sides{};
  int border = 0;                // pixels around it that readers see, and
  Edges kind = Edges::constant;  // what they are
  int outside = 0;
  bool summed = false;  // a node normalises it
  bool tight = false;   // three numbers a pixel, not the channels rounded up to 16
  bool read = false;
};

struct Graph {
  std::vector<Node> nodes;
  std::vector<MapKind> maps;
  int styles = 0;     // that can be chosen and mixed; 0 if the graph has but one look
  int64_t step = 1;   // the sides of a picture must be multiples of this
  int64_t least = 1;  // and at least so long
};

// Throws ModelError. Nodes of an accepted graph read what earlier ones have written, in sizes that fit, and overflow nothing.
// `own_sides`: pictures keep their sides wherever halvings can round up, as files from version 4 on want it. `styles`: how
// many there are in a file of version 5; none in files of other versions.
Graph read_graph(Cursor& cursor, uint32_t nodes, bool own_sides, std::optional<uint32_t> styles);

}  // namespace fastnst
