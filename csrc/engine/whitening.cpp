#include "engine/whitening.h"

#include <algorithm>
#include <cmath>
#include <stdexcept>

#include "base/parallel.h"
#include "engine/eigen.h"

namespace fastnst {
namespace {

constexpr double kCutoff = 1e-5;  // the smallest variance of a direction that is kept, as in PytorchWCT
constexpr int64_t kPanelBytes = 32768;

// Gathers pixels into panels and sums their products.
class Products {
 public:
  explicit Products(int64_t channels)
      : channels_(channels),
        capacity_(std::min<int64_t>(kMaxPairs, kPanelBytes / (4 * channels))),
        panel_(size_t(capacity_ * channels)),
        sums_(size_t(channels)),
        products_(size_t(channels * channels)) {}

  void add_row(const uint8_t* row, int64_t pixels) {
    for (int64_t x = 0; x < pixels; x++, row += channels_) add_pixel(row);
  }

  // Adds what has been gathered to other sums.
  void give(std::vector<uint64_t>& sums, std::vector<uint64_t>& products) {
    flush();
    for (size_t i = 0; i < sums.size(); i++) sums[i] += sums_[i];
    for (size_t i = 0; i < products.size(); i++) products[i] += products_[i];
  }

 private:
  void add_pixel(const uint8_t* pixel) {
    uint32_t* pair = panel_.data() + pixels_ / 2 * channels_;
    if (pixels_ % 2 == 0)
      for (int64_t c = 0; c < channels_; c++) pair[c] = pixel[c];
    else
      for (int64_t c = 0; c < channels_; c++) pair[c] |= uint32_t(pixel[c]) << 16;
    if (++pixels_ == 2 * capacity_) flush();
  }

  void flush() {
    const PairPanel panel{panel_.data(), (pixels_ + 1) / 2, channels_};
    for (int64_t p = 0; p < panel.count; p++)
      for (int64_t c = 0; c < channels_; c++) {
        const uint32_t pair = panel_[size_t(p * channels_ + c)];
        sums_[size_t(c)] += (pair & 0xffff) + (pair >> 16);
      }
    kernels().add_products(panel, products_.data());
    pixels_ = 0;
  }

  int64_t channels_, capacity_, pixels_ = 0;
  std::vector<uint32_t> panel_;
  std::vector<uint64_t> sums_, products_;
};

// Variance along a direction that rounding each channel to whole steps makes.
double rounding_variance(const double* direction, const std::vector<double>& scale) {
  double variance = 0;
  for (size_t c = 0; c < scale.size(); c++) variance += (direction[c] * scale[c]) * (direction[c] * scale[c]);
  return variance / 12;
}

// The function of the covariance that is `f` of each variance kept, and 0 of the others.
template <typename Function>
std::vector<double> root(const std::vector<double>& covariance, const std::vector<double>& scale, int threads, Function f) {
  const size_t n = scale.size();
  const Eigen parts = eigen(covariance, n);
  std::vector<double> values(n);
  for (size_t k = 0; k < n; k++) {
    const double noise = rounding_variance(parts.vectors.data() + k * n, scale);
    if (parts.values[k] >= kCutoff && parts.values[k] > noise) values[k] = f(parts.values[k], noise);
  }
  return symmetric_function(parts, values, threads);
}

}  // namespace

MomentSums::MomentSums(int channels) : sums_(size_t(map_stride(channels))), products_(sums_.size() * sums_.size()) {}

void MomentSums::add(const FeatureView& map, int threads) {
  const int64_t grain = 8, ranges = (map.height + grain - 1) / grain;
  std::vector<Products> parts(size_t(std::min<int64_t>(threads, ranges)), Products(map.stride));
  parallel_for(map.height, grain, threads, [&](int slot, int64_t begin, int64_t end) {
    for (int64_t y = begin; y < end; y++) parts[size_t(slot)].add_row(map.row(y), map.width);
  });
  for (Products& part : parts) part.give(sums_, products_);
  count_ += map.height * map.width;
}

Statistics MomentSums::statistics(const std::vector<double>& scale) const {
  using Exact = __int128;
  const size_t stride = sums_.size(), n = scale.size();
  const double pairs = double(count_) * double(std::max<int64_t>(count_ - 1, 1));
  Statistics found{std::vector<double>(n), std::vector<double>(n * n)};
  for (size_t i = 0; i < n; i++) {
    found.mean[i] = (scale[i] * double(sums_[i])) / double(count_);
    for (size_t j = 0; j <= i; j++) {
      const Exact spread = Exact(count_) * Exact(products_[j * stride + i]) - Exact(sums_[i]) * Exact(sums_[j]);
      const double covariance = (scale[i] * scale[j]) * (double(spread) / pairs);
      found.spread[i * n + j] = found.spread[j * n + i] = covariance;
    }
  }
  return found;
}

std::vector<double> coloring_root(const std::vector<double>& covariance, const std::vector<double>& scale, int threads) {
  return root(covariance, scale, threads, [](double variance, double) { return std::sqrt(variance); });
}

std::vector<double> whitening_root(const std::vector<double>& covariance, const std::vector<double>& scale, int threads) {
  return root(covariance, scale, threads, [](double variance, double) { return 1 / std::sqrt(variance); });
}

Mixer make_mixer(const std::vector<double>& matrix, const std::vector<double>& centre, const std::vector<double>& target,
                 const Steps& steps) {
  constexpr double kMaxWeight = 32767;
  constexpr double kMaxSum = double((1 << 30) / 255) * 2;  // of a row's absolute weights: 255 times it stays below 2^31
  constexpr double kLeastUnit = 1e-30;
  const size_t n = centre.size(), stride = size_t(map_stride(int(n)));
  Mixer mixer{std::vector<int16_t>(stride * stride), std::vector<float>(stride), std::vector<float>(stride)};
  std::vector<double> row(n);
  for (size_t o = 0; o < n; o++) {
    double largest = 0, total = 0;
    for (size_t i = 0; i < n; i++) {
      row[i] = matrix[o * n + i] * steps.input_scale[i] / steps.output_scale[o];
      largest = std::max(largest, std::abs(row[i]));
      total += std::abs(row[i]);
    }
    // Half a step for every rounding that may go up.
    const double fit = std::max(largest / kMaxWeight, total / (kMaxSum - double(n)));
    if (!std::isfinite(total)) throw std::invalid_argument("statistics that are not finite");
    const double unit = fit >= kLeastUnit ? double(float(fit)) : 1;  // weights below are nothing in 8 bits
    double moved = 0;
    for (size_t i = 0; i < n; i++) {
      const double weight = std::min(std::max(std::nearbyint(row[i] / unit), -kMaxWeight), kMaxWeight);
      mixer.weights[((o / kLanes * stride / 2 + i / 2) * kLanes + o % kLanes) * 2 + i % 2] = int16_t(weight);
      moved += (weight * unit) * (centre[i] / steps.input_scale[i]);
    }
    mixer.multiplier[o] = float(unit);
    mixer.offset[o] = float(target[o] / steps.output_scale[o] - moved + steps.output_zero[o]);
    if (!std::isfinite(mixer.multiplier[o]) || !std::isfinite(mixer.offset[o]))
      throw std::invalid_argument("statistics that are not finite");
  }
  return mixer;
}

void Mixer::run(const uint8_t* source, uint8_t* target, int64_t pixels) const {
  kernels().mix_row({source, weights.data(), multiplier.data(), offset.data(), target, pixels, int64_t(offset.size())});
}

}  // namespace fastnst
