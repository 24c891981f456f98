// Colours of pictures: their moments, and affine maps of them, for plain memory.
#pragma once

#include <cstdint>

#include "base/variant.h"
#include "ops/feature_map.h"

namespace fastnst {

// matrix (x - shift) of the colours x of each picture: [batch, 3, 3] by rows and [batch, 3].
struct ColorTerm {
  FeatureMap x;
  const float *matrix, *shift;
};

// Maps have 3 channels; those of one call have one type, size and layout. `scratch` points to as many doubles as scratch_size
// says. Results do not depend on `threads`.
struct ColorOps {
  int64_t (*scratch_size)(const FeatureMap& x);

  // Means [batch, 3] and covariances [batch, 3, 3], which are divided by the number of positions.
  void (*moments)(const FeatureMap& x, double* mean, double* covariance, double* scratch, int threads);

  // total = sum(grad), [batch, 3]; products = sum(grad (x - mean)^T), [batch, 3, 3]
  void (*products)(const FeatureMap& grad, const FeatureMap& x, const double* mean, double* total, double* products,
                   double* scratch, int threads);

  // out = offset + the sum of one or two terms, with offset [batch, 3]
  void (*sweep)(const ColorTerm* terms, int count, const float* offset, void* out, int threads);
};

FASTNST_DECLARE(ColorOps, color)

}  // namespace fastnst
