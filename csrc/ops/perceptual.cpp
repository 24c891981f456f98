#include "ops/perceptual.h"

#include "ops/channels.h"

namespace fastnst::FASTNST_PATH {
namespace {

int64_t gram_bytes(const FeatureMap& x, int threads) {
  return Division<float>(x.batch, x.channels, x.positions, true).bytes(threads);
}

void gram(const FeatureMap& x, float* gram, void* scratch, int threads) {
  with_element(x.element, [&](auto type) {
    const double scale = 1 / (double(x.channels) * double(x.positions));
    correlate<float, decltype(type), float>(x, nullptr, nullptr, nullptr, scale, gram, scratch, threads);
  });
}

int64_t bytes_to_mix(const FeatureMap& x, int threads) { return mix_bytes<float>(x, threads); }

void mix_features(const float* matrix, int64_t pitch, const FeatureMap& x, void* out, void* scratch, int threads) {
  with_element(x.element, [&](auto type) {
    using E = decltype(type);
    mix<float, E>(matrix, pitch, x, nullptr, nullptr, static_cast<E*>(out), scratch, threads);
  });
}

}  // namespace

extern const PerceptualOps perceptual;
const PerceptualOps perceptual = {gram_bytes, gram, bytes_to_mix, mix_features};

}  // namespace fastnst::FASTNST_PATH
