// The parts of the whitening and colouring transform other than eigenvalues. Features are contiguous, matrices and means
// double.
#pragma once

#include "base/variant.h"
#include "ops/feature_map.h"

namespace fastnst {

struct WctOps {
  // mean [batch, channels]; for a constant channel exactly its value.
  void (*means)(const FeatureMap& x, double* mean, int threads);

  // product [batch, C, C] = scale * (x - x_mean) (y - y_mean)^T over all positions; without y it is x. An absent mean is 0.
  // `scratch` has products_bytes.
  int64_t (*products_bytes)(int64_t batch, int64_t channels, int64_t positions, bool symmetric, int threads);
  void (*products)(const FeatureMap& x, const double* x_mean, const FeatureMap* y, const double* y_mean, double scale,
                   double* product, void* scratch, int threads);

  // product [batch, C, C] = factor^T factor of factor [batch, k, C]. `scratch` has the products_bytes of a symmetric product.
  void (*outer)(const double* factor, int64_t batch, int64_t channels, int64_t rank, double* product, void* scratch,
                int threads);

  // out = matrix (x - shift) + offset. `matrix` is [batch, C, C] with rows of `pitch` elements, out is like x, and `scratch`
  // has transform_bytes. In float or double throughout.
  int64_t (*transform_bytes)(const FeatureMap& x, bool wide, int threads);
  void (*transform)(const float* matrix, int64_t pitch, const FeatureMap& x, const float* shift, const float* offset, void* out,
                    void* scratch, int threads);
  void (*transform_wide)(const double* matrix, int64_t pitch, const FeatureMap& x, const double* shift, const double* offset,
                         void* out, void* scratch, int threads);
};

FASTNST_DECLARE(WctOps, wct)

}  // namespace fastnst
