// Parts of perceptual losses: mean errors between feature maps, and Gram matrices.
#pragma once

#include "base/variant.h"
#include "ops/feature_map.h"

namespace fastnst {

struct PerceptualOps {
  // The mean of (x - y)^2, or of |x - y|, over `count` numbers of type `element`; `scratch` has error_bytes.
  int64_t (*error_bytes)(int64_t count);
  double (*mean_error)(const void* x, const void* y, int element, int64_t count, bool squared, void* scratch, int threads);
  // out = scale * (x - y), or scale * sign(x - y).
  void (*error_backward)(const void* x, const void* y, int element, int64_t count, bool squared, float scale, void* out,
                         int threads);

  // gram [batch, C, C] = x x^T / (C * positions); `scratch` has gram_bytes.
  int64_t (*gram_bytes)(const FeatureMap& x, int threads);
  void (*gram)(const FeatureMap& x, float* gram, void* scratch, int threads);

  // out = matrix x, like x; `matrix` is [batch, C, C] with rows of `pitch` elements, and `scratch` has mix_bytes.
  int64_t (*mix_bytes)(const FeatureMap& x, int threads);
  void (*mix)(const float* matrix, int64_t pitch, const FeatureMap& x, void* out, void* scratch, int threads);
};

FASTNST_DECLARE(PerceptualOps, perceptual)

}  // namespace fastnst
