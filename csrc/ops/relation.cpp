// Angles are computed from squared distances q by the law of cosines,
//   cos_ijk = (q_ij + q_ik - q_jk) rho_ij rho_ik,  rho = 1 / sqrt(2 q), and 0 where items coincide,
// so that neither differences [N, N, D] nor triplets [N, N, N] are ever stored, and the gradient towards q comes with the loss.
// The order of every sum depends only on sizes, not on threads: no two tasks write to the same place.
#include "ops/relation.h"

#include "ops/relation_angles.h"
#include "ops/relation_gradient.h"
#include "ops/relation_pairs.h"

namespace fastnst::FASTNST_VARIANT {
namespace {

constexpr float kSmallestSquare = 1e-12f, kSmallestDistance = 1e-6f;  // as published: distances are clamped there
constexpr float kCoincide = 1e-24f;                                   // squared distances up to here have no direction
constexpr float kRoot2 = 1.41421356f;

typedef int32_t Integers __attribute__((vector_size(kBytes)));

// Distances from q and rho, which contains the square root.
static inline Floats distance(Floats q, Floats rho) {
  const Floats d = kRoot2 * q * rho;
  return d < all(kSmallestDistance) ? all(kSmallestDistance) : d;
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
    double total = 0;
    for (int64_t i = 0; i < least(kTile, set.count - at.i0); i++) {
      Floats row{};
      for (int64_t j = 0; j < kTile; j += kFloats) {
        const Floats d = distance(load(tile + i * kTile + j), load(inverse + i * kTile + j));
        row += others(at.i0 + i, at.j0 + j, set.count) ? d : Floats{};
      }
      total += sum(row);
    }
    reinterpret_cast<double*>(scratch + set.sums)[index] = at.i0 == at.j0 ? total : 2 * total;
    store_tile(set, at, set.stride, tile, scratch + set.squares[side]);
    store_tile(set, at, set.stride, inverse, scratch + set.inverses[side]);
    if (at.j0 + kTile < set.count) return;
    for (int64_t i = at.i0; i < least(at.i0 + kTile, set.count); i++)  // columns that fill the last vector
      for (int64_t j = set.count; j < set.stride; j++)
        scratch[set.squares[side] + i * set.stride + j] = scratch[set.inverses[side] + i * set.stride + j] = 0;
  });
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

// The sums over rows [begin, end) of Huber's loss of relative distances, and of its slope times the student's distance.
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
    *loss += sum(row), *moment += sum(moments);
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

// Sums of Huber's loss, and the weights of the angles, to which their transpose has to be added later.
static void measure(const RelationSets& given, const Plan& p, double distance_weight, double angle_weight, float* weights) {
  const auto tasks = [](const Set& set) { return set.bands; };
  for_all(given, p, tasks, [&](int slot, int64_t image, const Set& set, int64_t index) {
    float* const scratch = scratch_of(given, p, image);
    const Relations student = relations(set, 0, scratch), teacher = relations(set, 1, scratch);
    double* const sums = reinterpret_cast<double*>(scratch + set.sums);
    double* const mine = sums + 2 * set.pairs + 3 * index;  // loss of angles; loss and moment of distances
    const int64_t begin = index * set.columns, end = least(begin + set.columns, set.count);
    mine[0] = mine[1] = mine[2] = 0;
    if (set.count == 1) return;
    if (angle_weight != 0) {
      const double count = double(set.count);
      // Half of the derivative by the distance of a pair, because q_ij and q_ji count separately.
      const float scale = float(angle_weight / (2 * count * count * count));
      mine[0] =
          angles(student, teacher, set, begin, end, scale, slot_of(given, p, slot), weights + image * p.weights + set.weights);
    }
    if (distance_weight != 0) distances(student, teacher, set, inverse_means(set, sums), begin, end, mine + 1, mine + 2);
  });
}

static float loss_of(const RelationSets& given, const Plan& p, int64_t image, double distance_weight, double angle_weight) {
  double loss = 0;
  for (int s = 0; s < p.cuts; s++) {
    const Set& set = p.sets[s];
    const double* const sums = reinterpret_cast<const double*>(scratch_of(given, p, image) + set.sums) + 2 * set.pairs;
    const double count = double(set.count);
    for (int64_t t = 0; t < set.bands; t++)
      loss += angle_weight / (count * count * count) * sums[3 * t] + distance_weight / (count * count) * sums[3 * t + 1];
  }
  return float(loss);
}

// Makes the weights symmetric and adds those of the distances.
static void finish(const RelationSets& given, const Plan& p, double distance_weight, double angle_weight, float* weights) {
  const auto tasks = [](const Set& set) { return set.pairs; };
  for_all(given, p, tasks, [&](int, int64_t image, const Set& set, int64_t index) {
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
      for (int64_t t = 0; t < set.bands; t++) moment += sums[2 * set.pairs + 3 * t + 2];
      const double n = double(count), shift = moment * double(by.student) * double(by.student) / (n * (n - 1));
      add_distances(relations(set, 0, scratch), relations(set, 1, scratch), set, by, float(distance_weight / (n * n)),
                    float(shift), at, tile);
    }
    if (at.i0 == at.j0)
      for (int64_t i = 0; i < rows; i++) tile[i * kTile + i] = 0;
    store_tile(set, at, count, tile, matrix);
  });
}

static void losses(const RelationSets& given, double distance_weight, double angle_weight, float* out, float* weights) {
  const Plan p = plan(given);
  compare(given, p);
  complete(given, p);
  measure(given, p, distance_weight, angle_weight, weights);
  for (int64_t image = 0; image < given.images; image++) out[image] = loss_of(given, p, image, distance_weight, angle_weight);
  finish(given, p, distance_weight, angle_weight, weights);
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
        // A distance that is NaN has no slope, like one that is clamped; as published.
        q = !(q >= eps) || q == 0 || i == j ? 0 : squared ? both / 2 : both / (4 * __builtin_sqrtf(q));
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
    const int64_t step = cut.lines ? kTile : span_of(cut.count), tasks = up(cut.size, step) / step;
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

}  // namespace fastnst::FASTNST_VARIANT
