// Relational knowledge distillation between the items of sets: vectors, or the rows, columns and patches of images.
#pragma once

#include <cstdint>

#include "base/variant.h"

namespace fastnst {

// The ways to cut an image into items, as bits; their order is that of the weights.
enum RelationCut { kRows = 1, kColumns = 2, kPatches = 4 };

// Images float32 [images, channels, height, width], contiguous. A batch of sets [B, N, D] is B images of one channel, N rows
// and D columns, cut into rows; only then may the widths differ.
struct RelationSets {
  const float* student;
  const float* teacher;  // null in functions of one set
  int64_t images, height;
  int64_t channels[2], width[2];  // of student and teacher
  int64_t patch;
  int cuts;
  int threads;
  float* scratch;  // of the size that `memory` says; `backward` has no need of the part for images
};

// In floats.
struct RelationMemory {
  int64_t each_thread, each_image;
  int64_t weights;  // of an image
};

// q_ij is the squared distance of items i and j. Weights are dL / dq_ij with q_ij and q_ji apart: symmetric, zero on the
// diagonal, one N x N matrix per cut after the other, and dL / dx_i = 4 sum_j weight_ij (x_i - x_j).
struct RelationOps {
  RelationMemory (*memory)(const RelationSets&);
  // [images, N, N]: max(q, eps) or its root, and 0 on the diagonal.
  void (*pairwise)(const RelationSets&, bool squared, float eps, float* out);
  // The weights that stand for the gradient `grad` towards that result.
  void (*pairwise_weights)(const RelationSets&, const float* grad, bool squared, float eps, float* weights);
  void (*losses)(const RelationSets&, double distance_weight, double angle_weight, float* losses, float* weights);
  // Adds the gradient times `grad`, one factor per image, to `gradient`, which is shaped like the student's images.
  void (*backward)(const RelationSets&, const float* grad, const float* weights, float* gradient);
};

FASTNST_DECLARE(RelationOps, relation)

}  // namespace fastnst
