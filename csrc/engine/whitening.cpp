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

  // Adds what has been gathered, 2^`bits` times, to other sums.
  template <typename Exact>
  void give(std::vector<uint64_t>& sums, std::vector<Exact>& products, int bits) {
    flush();
    for (size_t i = 0; i < sums.size(); i++) sums[i] += sums_[i] << bits;
    for (size_t i = 0; i < products.size(); i++) products[i] += Exact(products_[i]) << bits;
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

MomentSums::MomentSums(int channels, const RegionGrid* grid)
    : grid_(grid), unit_(grid == nullptr ? 1 : kFull), parts_(grid == nullptr ? 1 : grid->parts()) {
  const size_t stride = size_t(map_stride(channels));
  for (Sums& sums : parts_) sums.first.resize(stride), sums.products.resize(stride * stride);
}

void MomentSums::add(const FeatureView& map, Place first, int threads) {
  const int64_t grain = 8, ranges = (map.height + grain - 1) / grain, width = map.width;
  std::vector<uint16_t> weights;
  if (grid_ != nullptr) weights = grid_->shares(first.y, first.x, map.height, width, threads);
  for (size_t part = 0; part < parts_.size(); part++) {
    auto& [count, sums, sums_of_products] = parts_[part];
    const auto row_of = [&](int64_t y) { return weights.data() + (y * int64_t(parts_.size()) + int64_t(part)) * width; };
    unsigned any = weights.empty() ? 1 : 0;
    if (weights.empty()) count += uint64_t(map.height) * uint64_t(width);
    for (int64_t y = 0; y < map.height && !weights.empty(); y++)
      for (int64_t x = 0; x < width; x++) any |= row_of(y)[x], count += row_of(y)[x];
    // A weight is a sum of powers of two, and most are kFull alone.
    for (int bits = 0; any >> bits != 0; bits++) {
      if ((any >> bits & 1) == 0) continue;
      std::vector<Products> products(size_t(std::min<int64_t>(threads, ranges)), Products(map.stride));
      parallel_for(map.height, grain, threads, [&](int slot, int64_t begin, int64_t end) {
        for (int64_t y = begin; y < end; y++) {
          if (weights.empty()) {
            products[size_t(slot)].add_row(map.row(y), width);
            continue;
          }
          for_weights(row_of(y), width, [&](unsigned weight, int64_t left, int64_t right) {
            if (weight >> bits & 1) products[size_t(slot)].add_row(map.row(y) + left * map.stride, right - left);
          });
        }
      });
      for (Products& each : products) each.give(sums, sums_of_products, bits);
    }
  }
}

Statistics MomentSums::statistics(size_t part, const std::vector<double>& scale) const {
  const auto& [total, sums, products] = parts_[part];
  const size_t stride = sums.size(), n = scale.size();
  const double count = double(total), pairs = count * double(std::max(total - std::min(total, unit_), unit_));
  Statistics found{std::vector<double>(n), std::vector<double>(n * n)};
  for (size_t i = 0; i < n; i++) {
    found.mean[i] = (scale[i] * double(sums[i])) / count;
    for (size_t j = 0; j <= i; j++) {
      // The terms may pass 2^127, and their difference does not: it is at most 2^14 times the square of the total.
      const auto spread = __int128(Exact(total) * products[j * stride + i] - Exact(sums[i]) * sums[j]);
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
