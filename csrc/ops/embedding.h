// The linear embedding loss: the squared error of features after a 1x1 convolution, without the convolution's output.
#pragma once

#include "base/variant.h"
#include "ops/feature_map.h"

namespace fastnst {

// The convolution with negative weights, so that the negative error, teacher - bias - weight student, is a sum.
struct Projection {
  const float* negative_weight;  // [teacher's channels, student's], rows of `pitch` elements
  int64_t pitch;
  const float* bias;
};

// The gradients of the loss: like the student; [teacher's channels, student's channels]; [teacher's channels].
struct EmbeddingGradients {
  void* student;
  float* weight;
  float* bias;
};

struct EmbeddingOps {
  // The mean squared error. Gradients may be null. `scratch` has loss_bytes.
  int64_t (*loss_bytes)(const FeatureMap& student, const FeatureMap& teacher, bool gradients, int threads);
  double (*loss)(const FeatureMap& student, const FeatureMap& teacher, const Projection& projection,
                 const EmbeddingGradients* gradients, void* scratch, int threads);

  // gradient = scale * (teacher - bias - weight student), like the teacher. `scratch` has loss_bytes without gradients.
  void (*teacher)(const FeatureMap& student, const FeatureMap& teacher, const Projection& projection, float scale,
                  void* gradient, void* scratch, int threads);
};

FASTNST_DECLARE(EmbeddingOps, embedding)

}  // namespace fastnst
