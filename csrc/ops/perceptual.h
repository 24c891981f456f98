// Gram matrices of feature maps.
#pragma once

#include "base/path.h"
#include "ops/feature_map.h"

namespace fastnst {

struct PerceptualOps {
  // gram [batch, C, C] = x x^T / (C * positions); `scratch` has gram_bytes.
  int64_t (*gram_bytes)(const FeatureMap& x, int threads);
  void (*gram)(const FeatureMap& x, float* gram, void* scratch, int threads);

  // out = matrix x, like x; `matrix` is [batch, C, C] with rows of `pitch` elements, and `scratch` has mix_bytes.
  int64_t (*mix_bytes)(const FeatureMap& x, int threads);
  void (*mix)(const float* matrix, int64_t pitch, const FeatureMap& x, void* out, void* scratch, int threads);
};

FASTNST_DECLARE(PerceptualOps, perceptual)

}  // namespace fastnst
