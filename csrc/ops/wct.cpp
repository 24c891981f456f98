#include "ops/wct.h"

#include "ops/channels.h"

namespace fastnst::FASTNST_VARIANT {
namespace {

// The first value is subtracted before summing, so that a constant gives exactly 0, and a large mean costs few digits.
template <typename E>
double mean_of(const E* row, int64_t count) {
  constexpr int kChains = 4;
  const Unit<double> first = everywhere(double(load(row, 1)[0]));
  Unit<double> sums[kChains] = {};
  int64_t i = 0;
  const auto add = [&](Unit<double>& sum, const Unit<double>& values) {
    for (int p = 0; p < Unit<double>::kParts; p++) sum.part[p] += values.part[p] - first.part[p];
  };
  for (; i + kChains * kFloats <= count; i += kChains * kFloats)
    for (int c = 0; c < kChains; c++) add(sums[c], load_unit<double>(row + i + c * kFloats, kFloats));
  double lanes[kFloats], total = 0;
  for (const Unit<double>& sum : sums) {
    std::memcpy(lanes, &sum, sizeof sum);
    for (const double lane : lanes) total += lane;
  }
  for (; i < count; i++) total += double(load(row + i, 1)[0]) - first.part[0][0];
  return first.part[0][0] + total / double(count);
}

void means(const FeatureMap& x, double* mean, int threads) {
  with_element(x.element, [&](auto type) {
    using E = decltype(type);
    parallel_for(x.batch * x.channels, 4, threads, [&](int, int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; i++) mean[i] = mean_of(static_cast<const E*>(x.data) + i * x.positions, x.positions);
    });
  });
}

int64_t products_bytes(int64_t batch, int64_t channels, int64_t positions, bool symmetric, int threads) {
  return Division<double>(batch, channels, positions, symmetric).bytes(threads);
}

void products(const FeatureMap& x, const double* x_mean, const FeatureMap* y, const double* y_mean, double scale,
              double* product, void* scratch, int threads) {
  with_element(x.element,
               [&](auto type) { correlate<double, decltype(type)>(x, x_mean, y, y_mean, scale, product, scratch, threads); });
}

void outer(const double* factor, int64_t batch, int64_t channels, int64_t rank, double* product, void* scratch, int threads) {
  correlate<double, double>({factor, 0, true, batch, channels, rank}, nullptr, nullptr, nullptr, 1, product, scratch, threads);
}

int64_t transform_bytes(const FeatureMap& x, bool wide, int threads) {
  return wide ? mix_bytes<double>(x, threads) : mix_bytes<float>(x, threads);
}

template <typename T>
void transform(const T* matrix, int64_t pitch, const FeatureMap& x, const T* shift, const T* offset, void* out, void* scratch,
               int threads) {
  with_element(x.element, [&](auto type) {
    using E = decltype(type);
    mix<T, E>(matrix, pitch, x, shift, offset, static_cast<E*>(out), scratch, threads);
  });
}

}  // namespace

extern const WctOps wct;
const WctOps wct = {means, products_bytes, products, outer, transform_bytes, transform<float>, transform<double>};

}  // namespace fastnst::FASTNST_VARIANT
