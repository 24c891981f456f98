// In which order the nodes of a generator's graph are run: over the whole picture at once, or over bands of its rows.
//
// A node that normalises needs all of its source before its first row, so bands go over the picture in segments: each begins
// where statistics are complete, and what a later one reads is put aside, or computed again where that costs less. Within a
// segment rows flow: each map keeps a window of the rows that its readers have yet to see, and no row is computed twice.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "engine/graph.h"

namespace fastnst {

std::vector<uint32_t> sources_of(const Node& node);
// The map that a node writes; none if that is the picture.
std::optional<uint32_t> target_of(const Node& node);

// Nodes that are computed together, row by row.
struct Pass {
  std::vector<size_t> nodes;
  Sides sides;
};

// What a segment has to do with a map.
struct Use {
  bool loaded = false;  // it comes from where it was put aside; map 0 from the picture
  bool made = false;
  bool kept = false;    // it is put aside; map 0 as it is read
  bool summed = false;  // for its statistics

  bool here() const { return loaded || made; }
};

struct Segment {
  std::vector<Pass> passes;
  std::vector<Use> maps;
  double work = 0;  // multiply-adds for each pixel of the picture
};

// All of the graph in one segment, for a picture that is done at once.
Segment whole_schedule(const Graph& graph);
// In segments that can be done in bands; at least one.
std::vector<Segment> banded_schedule(const Graph& graph);

// How far a segment is: the rows that are there of what each pass writes, and of each map.
struct Progression {
  std::vector<int64_t> passes;
  std::vector<int64_t> complete;  // of maps: rows that can be read and put aside
  std::vector<int64_t> begun;     // of maps: rows of which something is there
};

// After the first `rows` rows of the picture, a multiple of band_unit(): as many rows of what the segment is there for, and
// what is needed for them. `height`: of the picture, extended.
Progression progress_of(const Graph& graph, const Segment& segment, int64_t height, int64_t rows);
// The first row of each map that is needed to go on from there; it can lie in the border.
std::vector<int64_t> rows_needed(const Graph& graph, const Segment& segment, int64_t height, const Progression& reached);
// Rows of each map, borders included, that are there at once if the picture is done in bands of `band` rows.
std::vector<int64_t> window_rows(const Graph& graph, const Segment& segment, int64_t height, int64_t band);

// Rows of a band that no picture fills.
constexpr int64_t kWhole = int64_t(1) << 40;

// Where index i of an extended side comes from.
int64_t reflected(int64_t i, int64_t side);

// What bands must be a multiple of, so that each map has a whole number of rows to one.
int64_t band_unit(const Graph& graph);
// Rows of the picture after which a segment is done.
int64_t rows_of(const Graph& graph, int64_t height);

}  // namespace fastnst
