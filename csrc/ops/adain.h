// Statistics of feature maps and AdaIN, forward and backward, for plain memory.
#pragma once

#include <cstdint>

#include "base/variant.h"

namespace fastnst {

// A batch of maps as it lies in memory: `images` times `positions` times `channels` elements, side by side. In channels_last,
// [N, C, H, W] is N images of C channels; a contiguous one is N * C images of a single channel. Statistics are
// [images, channels], so [N, C] either way.
struct MapShape {
  int element;  // ops/vector.h
  int64_t images, positions, channels;
};

// For every channel of every image over its n = `positions` positions:
//   std = sqrt(sum((x - mean)^2) / max(n - 1, 1) + eps)
// `scratch` points to as many doubles as scratch_size says. Results do not depend on `threads`.
struct AdainOps {
  int64_t (*scratch_size)(const MapShape& shape, int threads);

  void (*channel_stats)(const MapShape& shape, const void* x, double eps, float* mean, float* std, double* scratch,
                        int threads);

  // dx = grad_mean / n + grad_std (x - mean) / (max(n - 1, 1) std)
  void (*channel_stats_backward)(const MapShape& shape, const float* grad_mean, const float* grad_std, const void* x,
                                 const float* mean, const float* std, void* dx, double* scratch, int threads);

  // out = (content - mean) / std * style_std + style_mean
  void (*apply)(const MapShape& shape, const void* content, const float* style_mean, const float* style_std, double eps,
                void* out, float* mean, float* std, double* scratch, int threads);

  // With z = (content - mean) / std:
  //   dstyle_mean = sum(grad), dstyle_std = sum(grad z),
  //   dcontent = style_std / std (grad - sum(grad) / n - z dstyle_std / max(n - 1, 1))
  void (*apply_backward)(const MapShape& shape, const void* grad, const void* content, const float* mean, const float* std,
                         const float* style_std, void* dcontent, float* dstyle_mean, float* dstyle_std, double* scratch,
                         int threads);
};

FASTNST_DECLARE(AdainOps, adain)

}  // namespace fastnst
