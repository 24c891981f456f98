// Angles come from squared distances q by the law of cosines,
//   cos_ijk = (q_ij + q_ik - q_jk) rho_ij rho_ik,  rho = 1 / sqrt(2 q), and 0 where items coincide,
// so that neither differences [N, N, D] nor triplets [N, N, N] are ever stored, and the gradient towards q comes with the loss.
// Every sum has an order that depends on sizes alone, not on threads: a task owns all that it writes.
#include "ops/relation.h"

#if defined(__SSE2__)
#include <immintrin.h>
#endif

#include "base/parallel.h"
#include "ops/relation_items.h"
#include "ops/vector.h"

namespace fastnst::FASTNST_PATH {
namespace {

constexpr int64_t kSegment = 8192;  // numbers of an item that one task compares: a few large items occupy all threads
constexpr float kSmallestSquare = 1e-12f, kSmallestDistance = 1e-6f;  // as published: distances are clamped there
constexpr float kCoincide = 1e-24f;                                   // squared distances up to here have no direction
constexpr float kRoot2 = 1.41421356f;
constexpr int64_t kLine = 16;  // floats of a cache line, to which all parts of the scratch memory are rounded

typedef int32_t Integers __attribute__((vector_size(kBytes)));

// Where everything about one cut of one image lies, counted in floats from the beginning of the image's scratch memory.
struct Set {
  Cut cut[2];  // of student and teacher
  int64_t count, stride, blocks, pairs, columns;
  int64_t segments[2];
  int64_t squares[2];   // [segments, count, stride]; the first becomes q
  int64_t inverses[2];  // [count, stride]: rho
  int64_t sums;         // doubles: per side and tile the sum of distances; per column tile three more
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
  int64_t widest = 0;
  for (int kind = kRows; kind <= kPatches; kind *= 2) {
    if ((given.cuts & kind) == 0) continue;
    Set& set = p.sets[p.cuts++];
    for (int side = 0; side < p.sides; side++) {
      set.cut[side] = cut_of(kind, given.channels[side], given.height, given.width[side], given.patch);
      set.segments[side] = up(set.cut[side].size, kSegment) / kSegment;
    }
    set.count = set.cut[0].count;
    set.stride = up(set.count, kLine);
    set.blocks = up(set.count, kTile) / kTile;
    set.pairs = set.blocks * (set.blocks + 1) / 2;
    set.columns = up(set.count, kFloats) / kFloats;
    for (int side = 0; side < p.sides; side++) {
      set.squares[side] = p.floats;
      set.inverses[side] = p.floats + set.segments[side] * set.count * set.stride;
      p.floats = set.inverses[side] + set.count * set.stride;
    }
    set.sums = p.floats;
    p.floats += up(2 * (2 * set.pairs + 3 * set.columns), kLine);
    set.weights = p.weights;
    p.weights += set.count * set.count;
    widest = set.count > widest ? set.count : widest;
  }
  const int64_t panels = 2 * kPanel, tile = 3 * kFloats * widest;
  p.slot = panels > tile ? panels : tile;
  return p;
}

// The tile's blocks of items in an upper triangle, counted row by row.
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

// --- squared distances ---

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
  for (int64_t i = 0; i < rows; i++) std::memcpy(out + (at.i0 + i) * stride + at.j0, tile + i * kTile, columns * sizeof(float));
  if (at.i0 == at.j0) return;
  for (int64_t j = 0; j < columns; j++)
    for (int64_t i = 0; i < rows; i++) out[(at.j0 + j) * stride + at.i0 + i] = tile[i * kTile + j];
}

// Distances from q and rho. The root of q * q / q is q's own, so that no root is taken twice.
static inline Floats distance(Floats q, Floats rho) {
  const Floats d = kRoot2 * q * rho;
  return d < all(kSmallestDistance) ? all(kSmallestDistance) : d;
}

static inline double total(Floats v) {
  double s = 0;
  for (int l = 0; l < kFloats; l++) s += v[l];
  return s;
}

// All ones in the lanes of columns [j, j + kFloats) that exist and are not i.
static inline Integers others(int64_t i, int64_t j, int64_t count) {
  Integers lane;
  for (int l = 0; l < kFloats; l++) lane[l] = l;
  return (lane < Integers{} + int32_t(least(count - j, kFloats))) &
         (lane != Integers{} + int32_t(i - j >= 0 && i - j < kFloats ? i - j : -1));
}

// Completes q and rho, and sums the distances.
static void complete(const RelationSets& given, const Plan& p) {
  const auto tasks = [&](const Set& set) { return p.sides * set.pairs; };
  for_all(given, p, tasks, [&](int, int64_t image, const Set& set, int64_t index) {
    const int side = index >= set.pairs;
    const Pair at = pair_of(set, index % set.pairs);
    float* const scratch = scratch_of(given, p, image);
    float tile[kTile * kTile], inverse[kTile * kTile];
    merge(set, side, scratch, at, tile);
    for (int64_t i = 0; i < kTile * kTile; i++) {
      const float rho = 1 / __builtin_sqrtf(2 * tile[i]);
      inverse[i] = tile[i] <= kCoincide ? 0 : rho;
    }
    double sum = 0;
    for (int64_t i = 0; i < least(kTile, set.count - at.i0); i++) {
      Floats row{};
      for (int64_t j = 0; j < kTile; j += kFloats) {
        const Floats d = distance(load(tile + i * kTile + j), load(inverse + i * kTile + j));
        row += others(at.i0 + i, at.j0 + j, set.count) ? d : Floats{};
      }
      sum += total(row);
    }
    reinterpret_cast<double*>(scratch + set.sums)[index] = at.i0 == at.j0 ? sum : 2 * sum;
    store_tile(set, at, set.stride, tile, scratch + set.squares[side]);
    store_tile(set, at, set.stride, inverse, scratch + set.inverses[side]);
    if (at.j0 + kTile < set.count) return;
    for (int64_t i = at.i0; i < least(at.i0 + kTile, set.count); i++)  // columns that fill the last vector
      for (int64_t j = set.count; j < set.stride; j++)
        scratch[set.squares[side] + i * set.stride + j] = scratch[set.inverses[side] + i * set.stride + j] = 0;
  });
}

// --- losses ---

// Squared distances and rho of one set, rows `stride` apart.
struct Relations {
  const float* q;
  const float* rho;
};

// Processors' minimum and maximum return their second operand if there is no order: NaN stays NaN.
static inline Floats clamp_to_one(Floats x) {
#if defined(__AVX512F__)
  x = _mm512_mask_min_ps(x, 0xffff, 1 - Floats{}, x);  // a mask, because without one some compilers warn of their own header
  return _mm512_mask_max_ps(x, 0xffff, -1 - Floats{}, x);
#elif defined(__AVX2__)
  return _mm256_max_ps(-1 - Floats{}, _mm256_min_ps(1 - Floats{}, x));
#elif defined(__SSE2__)
  return _mm_max_ps(-1 - Floats{}, _mm_min_ps(1 - Floats{}, x));
#else
  x = 1 < x ? 1 - Floats{} : x;
  return x < -1 ? -1 - Floats{} : x;
#endif
}

// Of the vertex i, all items j of [begin, end) and the columns k of the tile: the loss is returned, its derivatives by q_jk and
// q_ik are added to the tile, which holds per item j (student's q_jk, teacher's q_jk, derivative).
static inline Floats triplets(const Relations& student, const Relations& teacher, int64_t stride, int64_t i, int64_t begin,
                              int64_t end, int64_t column, float* tile) {
  const float *const q_s = student.q + i * stride, *const rho_s = student.rho + i * stride;
  const float *const q_t = teacher.q + i * stride, *const rho_t = teacher.rho + i * stride;
  const Floats rs = load(rho_s + column), ds = load(q_s + column) * rs;
  const Floats rt = load(rho_t + column), dt = load(q_t + column) * rt;
  Floats by_length{}, loss{};
  for (int64_t j = begin; j < end; j++) {
    float* const at = tile + j * 3 * kFloats;
    const float hs = rho_s[j];
    const Floats cosine = hs * ((q_s[j] - load(at)) * rs + ds);
    const Floats error = cosine - rho_t[j] * ((q_t[j] - load(at + kFloats)) * rt + dt);
    const Floats slope = clamp_to_one(error);
    loss += slope * (error - 0.5f * slope);
    by_length += slope * (hs - cosine * rs);
    store(at + 2 * kFloats, load(at + 2 * kFloats) - slope * hs * rs);
  }
  float* const own = tile + (i * 3 + 2) * kFloats;
  store(own, load(own) + 2 * rs * by_length);
  return loss;
}

constexpr int64_t kAtOnce = 128;  // items whose part of the tile stays in the nearest cache

// The sum of Huber's loss over the angles with k in [column, column + kFloats), and what it adds to the weights of those
// columns, times `scale`. The weights become symmetric when their transpose is added.
static double angles(const Relations& student, const Relations& teacher, const Set& set, int64_t column, double scale,
                     float* tile, float* weights) {
  const int64_t count = set.count, stride = set.stride;
  for (int64_t j = 0; j < count; j++) {
    store(tile + j * 3 * kFloats, load(student.q + j * stride + column));
    store(tile + (j * 3 + 1) * kFloats, load(teacher.q + j * stride + column));
    store(tile + (j * 3 + 2) * kFloats, Floats{});
  }
  double loss = 0;
  for (int64_t begin = 0; begin < count; begin += kAtOnce) {
    const int64_t end = least(begin + kAtOnce, count);
    for (int64_t i = 0; i < count; i++) loss += total(triplets(student, teacher, stride, i, begin, end, column, tile));
  }
  for (int64_t i = 0; i < count; i++)
    for (int64_t l = 0; l < least(kFloats, count - column); l++)
      weights[i * count + column + l] = float(scale) * tile[(i * 3 + 2) * kFloats + l];
  return loss;
}

// Inverse means of the distances of student and teacher. The clamp makes all but the diagonal positive.
struct Means {
  float student, teacher;
};

static Means inverse_means(const Set& set, const double* sums) {
  double total[2] = {};
  for (int64_t t = 0; t < 2 * set.pairs; t++) total[t >= set.pairs] += sums[t];
  const double entries = double(set.count) * double(set.count - 1);
  return {float(entries / total[0]), float(entries / total[1])};
}

// Of rows [begin, end): the sums of Huber's loss over the relative distances and of its slope times the student's distance.
static void distances(const Relations& student, const Relations& teacher, const Set& set, const Means& by, int64_t begin,
                      int64_t end, double* loss, double* moment) {
  for (int64_t i = begin; i < end; i++) {
    Floats row{}, moments{};
    for (int64_t j = 0; j < set.count; j += kFloats) {
      const int64_t at = i * set.stride + j;
      const Floats d = distance(load(student.q + at), load(student.rho + at));
      const Floats error = d * by.student - distance(load(teacher.q + at), load(teacher.rho + at)) * by.teacher;
      const Floats slope = clamp_to_one(error);
      const Integers counted = others(i, j, set.count);
      row += counted ? slope * (error - 0.5f * slope) : Floats{};
      moments += counted ? slope * d : Floats{};
    }
    *loss += total(row), *moment += total(moments);
  }
}

static Relations relations(const Set& set, int side, const float* scratch) {
  return {scratch + set.squares[side], scratch + set.inverses[side]};
}

// Adds the gradient of the distances to one tile of weights: d loss / d q = scale (slope / mean - shift) / (2 d).
static void add_distances(const Relations& student, const Relations& teacher, const Set& set, const Means& by, float scale,
                          float shift, Pair at, float* tile) {
  for (int64_t i = 0; i < least(kTile, set.count - at.i0); i++)
    for (int64_t j = 0; j < least(kTile, set.count - at.j0); j += kFloats) {
      const int64_t from = (at.i0 + i) * set.stride + at.j0 + j;
      const Floats q = load(student.q + from), rho = load(student.rho + from);
      const Floats error =
          distance(q, rho) * by.student - distance(load(teacher.q + from), load(teacher.rho + from)) * by.teacher;
      const Floats slope = scale / kRoot2 * (clamp_to_one(error) * by.student - shift) * rho;
      store(tile + i * kTile + j, load(tile + i * kTile + j) + (q < all(kSmallestSquare) ? Floats{} : slope));
    }
}

static void losses(const RelationSets& given, double distance_weight, double angle_weight, float* out, float* weights) {
  const Plan p = plan(given);
  compare(given, p);
  complete(given, p);

  const auto columns = [](const Set& set) { return set.columns; };
  for_all(given, p, columns, [&](int slot, int64_t image, const Set& set, int64_t index) {
    float* const scratch = scratch_of(given, p, image);
    const Relations student = relations(set, 0, scratch), teacher = relations(set, 1, scratch);
    double* const sums = reinterpret_cast<double*>(scratch + set.sums);
    double* const mine = sums + 2 * set.pairs + 3 * index;  // loss of angles; loss and moment of distances
    const int64_t first = index * kFloats;
    mine[0] = mine[1] = mine[2] = 0;
    if (set.count == 1) return;
    if (angle_weight != 0) {
      // Half of the derivative towards the distance of a pair, because q_ij and q_ji count apart.
      const double scale = 0.5 * angle_weight / (double(set.count) * double(set.count) * double(set.count));
      mine[0] = angles(student, teacher, set, first, scale, slot_of(given, p, slot), weights + image * p.weights + set.weights);
    }
    if (distance_weight != 0)
      distances(student, teacher, set, inverse_means(set, sums), first, least(first + kFloats, set.count), mine + 1, mine + 2);
  });

  for (int64_t image = 0; image < given.images; image++) {
    double loss = 0;
    for (int s = 0; s < p.cuts; s++) {
      const Set& set = p.sets[s];
      const double* const sums = reinterpret_cast<double*>(scratch_of(given, p, image) + set.sums) + 2 * set.pairs;
      const double count = double(set.count);
      for (int64_t t = 0; t < set.columns; t++)
        loss += angle_weight / (count * count * count) * sums[3 * t] + distance_weight / (count * count) * sums[3 * t + 1];
    }
    out[image] = float(loss);
  }

  const auto pairs = [](const Set& set) { return set.pairs; };
  for_all(given, p, pairs, [&](int, int64_t image, const Set& set, int64_t index) {
    const float* const scratch = scratch_of(given, p, image);
    const double* const sums = reinterpret_cast<const double*>(scratch + set.sums);
    float* const matrix = weights + image * p.weights + set.weights;
    const Pair at = pair_of(set, index);
    const int64_t count = set.count, rows = least(kTile, count - at.i0), width = least(kTile, count - at.j0);
    float tile[kTile * kTile] = {};
    if (angle_weight != 0 && count > 1)
      for (int64_t i = 0; i < rows; i++)
        for (int64_t j = 0; j < width; j++)
          tile[i * kTile + j] = matrix[(at.i0 + i) * count + at.j0 + j] + matrix[(at.j0 + j) * count + at.i0 + i];
    if (distance_weight != 0 && count > 1) {
      const Means by = inverse_means(set, sums);
      double moment = 0;
      for (int64_t t = 0; t < set.columns; t++) moment += sums[2 * set.pairs + 3 * t + 2];
      const double n = double(count), shift = moment * double(by.student) * double(by.student) / (n * (n - 1));
      add_distances(relations(set, 0, scratch), relations(set, 1, scratch), set, by, float(distance_weight / (n * n)),
                    float(shift), at, tile);
    }
    if (at.i0 == at.j0)
      for (int64_t i = 0; i < rows; i++) tile[i * kTile + i] = 0;
    store_tile(set, at, count, tile, matrix);
  });
}

// --- pairs alone ---

static void pairwise(const RelationSets& given, bool squared, float eps, float* out) {
  const Plan p = plan(given);
  compare(given, p);
  const auto tasks = [](const Set& set) { return set.pairs; };
  for_all(given, p, tasks, [&](int, int64_t image, const Set& set, int64_t index) {
    const Pair at = pair_of(set, index);
    float tile[kTile * kTile];
    merge(set, 0, scratch_of(given, p, image), at, tile);
    for (float& q : tile) q = q < eps ? eps : q;
    if (!squared)
      for (float& q : tile) q = __builtin_sqrtf(q);
    if (at.i0 == at.j0)
      for (int64_t i = 0; i < kTile; i++) tile[i * kTile + i] = 0;
    store_tile(set, at, set.count, tile, out + image * p.weights);
  });
}

static void pairwise_weights(const RelationSets& given, const float* grad, bool squared, float eps, float* weights) {
  const Plan p = plan(given);
  compare(given, p);
  const auto tasks = [](const Set& set) { return set.pairs; };
  for_all(given, p, tasks, [&](int, int64_t image, const Set& set, int64_t index) {
    const Pair at = pair_of(set, index);
    float tile[kTile * kTile];
    merge(set, 0, scratch_of(given, p, image), at, tile);
    const float* const g = grad + image * p.weights;
    for (int64_t i = at.i0; i < least(at.i0 + kTile, set.count); i++)
      for (int64_t j = at.j0; j < least(at.j0 + kTile, set.count); j++) {
        float& q = tile[(i - at.i0) * kTile + j - at.j0];
        const float both = g[i * set.count + j] + g[j * set.count + i];
        q = q < eps || i == j ? 0 : squared ? both / 2 : both / (4 * __builtin_sqrtf(q));
      }
    store_tile(set, at, set.count, tile, weights + image * p.weights);
  });
}

// --- gradients ---

static void backward(const RelationSets& given, const float* grad, const float* weights, float* gradient) {
  const Plan p = plan(given);
  const int64_t size = given.channels[0] * given.height * given.width[0];
  for (int s = 0; s < p.cuts; s++) {  // one cut after the other, because they share the pixels
    const Set& set = p.sets[s];
    const Cut& cut = set.cut[0];
    const int64_t step = cut.lines ? kTile : kWidth, tasks = up(cut.size, step) / step;
    parallel_for(given.images * tasks, 1, given.threads, [&](int slot, int64_t first, int64_t last) {
      for (int64_t task = first; task < last; task++) {
        const int64_t image = task / tasks, begin = task % tasks * step, end = least(begin + step, cut.size);
        const float* const matrix = weights + image * p.weights + set.weights;
        const auto add = cut.lines ? add_gradient_of_lines : add_gradient_of_items;
        add(cut, given.student + image * size, begin, end, matrix, 4 * grad[image], slot_of(given, p, slot),
            gradient + image * size);
      }
    });
  }
}

static RelationMemory memory(const RelationSets& given) {
  const Plan p = plan(given);
  return {p.slot, p.floats, p.weights};
}

}  // namespace

extern const RelationOps relation;
const RelationOps relation = {memory, pairwise, pairwise_weights, losses, backward};

}  // namespace fastnst::FASTNST_PATH
