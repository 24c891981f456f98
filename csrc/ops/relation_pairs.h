// The memory and the tasks of one call, and the squared distances of all pairs of items.
#pragma once

#include "base/parallel.h"
#include "ops/relation_gradient.h"

namespace fastnst::FASTNST_VARIANT {
namespace {

constexpr int64_t kSegment = 8192;  // numbers of an item that one task compares: a few large items occupy all threads
constexpr int64_t kMany = 640;      // items from which on relations do not fit into near caches, so that tasks are larger
constexpr int64_t kLine = 16;       // floats of a cache line, to which all parts of the scratch memory are rounded

// The offsets of all data about one cut of an image, in floats from the beginning of the image's scratch memory.
struct Set {
  Cut cut[2];  // of student and teacher
  int64_t count, stride, blocks, pairs;
  int64_t columns, bands;  // columns of a matrix that are one task, and how many such tasks there are
  int64_t segments[2];
  int64_t squares[2];   // [segments, count, stride]; the first becomes q
  int64_t inverses[2];  // [count, stride]: rho
  int64_t sums;         // doubles: per side and tile the sum of distances; per band of columns three more
  int64_t weights;      // counted from the beginning of the image's weights
};

struct Plan {
  Set sets[3];
  int cuts, sides;
  int64_t floats, weights;  // per image
  int64_t slot;             // floats per thread
};

static Plan plan(const RelationSets& given) {
  Plan p{};
  p.sides = given.teacher == nullptr ? 1 : 2;
  p.slot = 2 * kPanel;
  for (int kind = kRows; kind <= kPatches; kind *= 2) {
    if ((given.cuts & kind) == 0) continue;
    Set& set = p.sets[p.cuts++];
    for (int side = 0; side < p.sides; side++) {
      set.cut[side] = cut_of(kind, given.channels[side], given.height, given.width[side], given.patch);
      set.segments[side] = up(set.cut[side].size, kSegment) / kSegment;
    }
    set.count = set.cut[0].count;
    set.stride = up(set.count, kLine) + kLine;  // rows at powers of two would compete for the same cache sets
    set.blocks = up(set.count, kTile) / kTile;
    set.pairs = set.blocks * (set.blocks + 1) / 2;
    set.columns = set.count < kMany ? kFloats : 4 * kFloats;
    set.bands = up(set.count, set.columns) / set.columns;
    for (int side = 0; side < p.sides; side++) {
      set.squares[side] = p.floats;
      set.inverses[side] = p.floats + set.segments[side] * set.count * set.stride;
      p.floats = set.inverses[side] + set.count * set.stride;
    }
    set.sums = p.floats;
    p.floats += up(2 * (2 * set.pairs + 3 * set.bands), kLine);
    set.weights = p.weights;
    p.weights += set.count * set.count;
    p.slot = most(p.slot, most(3 * set.columns, row_of(span_of(set.count))) * set.count);
  }
  return p;
}

// The tile's blocks of items; tiles of the upper triangle are counted row by row.
struct Pair {
  int64_t i0, j0;
};

static Pair pair_of(const Set& set, int64_t index) {
  int64_t i = 0;
  for (; index >= set.blocks - i; i++) index -= set.blocks - i;
  return {i * kTile, (i + index) * kTile};
}

// Calls body(slot, image, set, index) for index below tasks(set), for all sets of all images.
template <typename Tasks, typename Body>
static inline void for_all(const RelationSets& given, const Plan& p, Tasks&& tasks, Body&& body) {
  int64_t each = 0;
  for (int s = 0; s < p.cuts; s++) each += tasks(p.sets[s]);
  parallel_for(given.images * each, 1, given.threads, [&](int slot, int64_t begin, int64_t end) {
    for (int64_t task = begin; task < end; task++) {
      int64_t index = task % each;
      int s = 0;
      for (; index >= tasks(p.sets[s]); s++) index -= tasks(p.sets[s]);
      body(slot, task / each, p.sets[s], index);
    }
  });
}

static inline float* scratch_of(const RelationSets& given, const Plan& p, int64_t image) {
  return given.scratch + given.threads * p.slot + image * p.floats;
}

static inline float* slot_of(const RelationSets& given, const Plan& p, int slot) { return given.scratch + slot * p.slot; }

static inline const float* image_of(const RelationSets& given, int side, int64_t image) {
  const float* const images = side == 0 ? given.student : given.teacher;
  return images + image * given.channels[side] * given.height * given.width[side];
}

// Writes the sums over each segment for the tiles on and above the diagonal.
static void compare(const RelationSets& given, const Plan& p) {
  const auto tasks = [](const Set& set) { return (set.segments[0] + set.segments[1]) * set.pairs; };
  for_all(given, p, tasks, [&](int slot, int64_t image, const Set& set, int64_t index) {
    const int side = index >= set.segments[0] * set.pairs;
    if (side == 1) index -= set.segments[0] * set.pairs;
    const int64_t segment = index / set.pairs;
    const auto [i0, j0] = pair_of(set, index % set.pairs);
    const Cut& cut = set.cut[side];
    double sums[kTile * kTile];
    squares_of_tile(cut, image_of(given, side, image), i0, j0, segment * kSegment, least((segment + 1) * kSegment, cut.size),
                    slot_of(given, p, slot), sums);
    float* const out = scratch_of(given, p, image) + set.squares[side] + segment * set.count * set.stride;
    for (int64_t i = 0; i < least(kTile, set.count - i0); i++)
      for (int64_t j = 0; j < least(kTile, set.count - j0); j++)
        out[(i0 + i) * set.stride + j0 + j] = float(sums[i * kTile + j]);
  });
}

// The segments of one tile of pairs added up; zeros for items that do not exist, and on the diagonal.
static void merge(const Set& set, int side, const float* scratch, Pair at, float* tile) {
  const int64_t rows = least(kTile, set.count - at.i0), columns = least(kTile, set.count - at.j0);
  double sums[kTile * kTile] = {};
  for (int64_t s = 0; s < set.segments[side]; s++) {
    const float* const part = scratch + set.squares[side] + (s * set.count + at.i0) * set.stride + at.j0;
    for (int64_t i = 0; i < rows; i++)
      for (int64_t j = 0; j < columns; j++) sums[i * kTile + j] += part[i * set.stride + j];
  }
  for (int64_t i = 0; i < kTile * kTile; i++) tile[i] = float(sums[i]);
  if (at.i0 != at.j0) return;
  for (int64_t i = 0; i < rows; i++) {
    tile[i * kTile + i] = 0;
    for (int64_t j = 0; j < i; j++) tile[i * kTile + j] = tile[j * kTile + i];
  }
}

// Writes a tile to [count, stride] and its mirror image to the other side of the diagonal.
static void store_tile(const Set& set, Pair at, int64_t stride, const float* tile, float* out) {
  const int64_t rows = least(kTile, set.count - at.i0), columns = least(kTile, set.count - at.j0);
  for (int64_t i = 0; i < rows; i++) copy(out + (at.i0 + i) * stride + at.j0, tile + i * kTile, columns);
  if (at.i0 == at.j0) return;
  for (int64_t j = 0; j < columns; j++)
    for (int64_t i = 0; i < rows; i++) out[(at.j0 + j) * stride + at.i0 + i] = tile[i * kTile + j];
}

}  // namespace
}  // namespace fastnst::FASTNST_VARIANT
