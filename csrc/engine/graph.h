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

// From a map of bytes to one of 16 bits.
struct Convolution {
  uint32_t source = 0, target = 0;
  int inputs = 0, outputs = 0, kernel = 0, stride = 1;
  Form form = Form::full;
  bool reflects = false;  // beyond its edges the source is reflected, or else `outside` everywhere
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
  std::vector<float> slope, offset;  // [channels]
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
  int halvings = 0;  // how often its sides are half those of the picture
  int border = 0;    // pixels around it that readers see
  bool reflects = false;
  int outside = 0;
  bool summed = false;  // a node normalises it
  bool tight = false;   // three numbers a pixel, not the channels rounded up to 16
  bool read = false;
};

struct Graph {
  std::vector<Node> nodes;
  std::vector<MapKind> maps;
  int64_t step = 1;   // the sides of a picture must be multiples of this
  int64_t least = 1;  // and at least so long
};

// Throws ModelError. Nodes of an accepted graph read what earlier ones have written, in sizes that fit, and overflow nothing.
Graph read_graph(Cursor& cursor, uint32_t nodes);

}  // namespace fastnst
