// Huber's loss over the angles of all triplets of items, and its derivatives towards their squared distances.
#pragma once

#if defined(__SSE2__)
#include <immintrin.h>
#endif

#include "ops/relation_pairs.h"

namespace fastnst::FASTNST_VARIANT {
namespace {

// Squared distances and rho of one set, rows `stride` apart.
struct Relations {
  const float* q;
  const float* rho;
};

// Processors' minimum and maximum return the second operand if one is NaN, so NaN stays NaN.
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

constexpr int64_t kTileFloats = 3 * kFloats;  // per item: student's q_jk, teacher's q_jk, derivative by the student's

// Cosines are clamped to -1..1: for items that nearly coincide the law of cosines has rounding errors of about 1e-7 times the
// ratio of the longer distance to the shorter one, which has no bound.
//
// Of the vertex i, all items j of [begin, end) and the columns k of the tile: the loss is returned, its derivatives by q_jk and
// q_ik are added to the tile.
static inline Floats triplets(const Relations& student, const Relations& teacher, int64_t stride, int64_t i, int64_t begin,
                              int64_t end, int64_t column, float* tile) {
  const float *const q_s = student.q + i * stride, *const rho_s = student.rho + i * stride;
  const float *const q_t = teacher.q + i * stride, *const rho_t = teacher.rho + i * stride;
  const Floats rs = load(rho_s + column), ds = load(q_s + column) * rs;
  const Floats rt = load(rho_t + column), dt = load(q_t + column) * rt;
  Floats by_length{}, loss{};
  for (int64_t j = begin; j < end; j++) {
    float* const at = tile + j * kTileFloats;
    const float hs = rho_s[j];
    const Floats cosine = clamp_to_one(hs * ((q_s[j] - load(at)) * rs + ds));
    const Floats error = cosine - clamp_to_one(rho_t[j] * ((q_t[j] - load(at + kFloats)) * rt + dt));
    const Floats slope = clamp_to_one(error);
    loss += slope * (error - 0.5f * slope);
    by_length += slope * (hs - cosine * rs);
    store(at + 2 * kFloats, load(at + 2 * kFloats) - slope * hs * rs);
  }
  float* const own = tile + i * kTileFloats + 2 * kFloats;
  store(own, load(own) + 2 * rs * by_length);
  return loss;
}

// The number of vertices whose relations to kItemsAtOnce others stay in the second-level cache while several tiles are
// processed, and the part of a tile that stays in the first-level cache then.
constexpr int64_t kVerticesAtOnce = 64, kItemsAtOnce = 128;

// The sum of Huber's loss over the angles with k in [begin, end), and what it adds to the weights of those columns, times
// `scale`. The weights become symmetric when their transpose is added. `tiles` is scratch memory of kTileFloats for each item
// and vector of columns.
static double angles(const Relations& student, const Relations& teacher, const Set& set, int64_t begin, int64_t end,
                     float scale, float* tiles, float* weights) {
  const int64_t count = set.count, stride = set.stride;
  const auto tile_of = [&](int64_t column) { return tiles + (column - begin) / kFloats * count * kTileFloats; };
  for (int64_t k = begin; k < end; k += kFloats)
    for (int64_t j = 0; j < count; j++) {
      float* const at = tile_of(k) + j * kTileFloats;
      store(at, load(student.q + j * stride + k));
      store(at + kFloats, load(teacher.q + j * stride + k));
      store(at + 2 * kFloats, Floats{});
    }
  double loss = 0;
  for (int64_t i0 = 0; i0 < count; i0 += kVerticesAtOnce)
    for (int64_t j0 = 0; j0 < count; j0 += kItemsAtOnce)
      for (int64_t k = begin; k < end; k += kFloats)
        for (int64_t i = i0; i < least(i0 + kVerticesAtOnce, count); i++)
          loss += sum(triplets(student, teacher, stride, i, j0, least(j0 + kItemsAtOnce, count), k, tile_of(k)));
  for (int64_t k = begin; k < end; k += kFloats)
    for (int64_t i = 0; i < count; i++)
      for (int64_t l = 0; l < least(kFloats, end - k); l++)
        weights[i * count + k + l] = scale * tile_of(k)[i * kTileFloats + 2 * kFloats + l];
  return loss;
}

}  // namespace
}  // namespace fastnst::FASTNST_VARIANT
