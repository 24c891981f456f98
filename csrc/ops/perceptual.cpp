#include "ops/perceptual.h"

#include <algorithm>
#include <type_traits>

#include "ops/channels.h"

namespace fastnst::FASTNST_VARIANT {
namespace {

// The number of errors that are summed in float32. Pieces, and so their sum, do not depend on the number of threads.
constexpr int64_t kPiece = 1 << 14;

int64_t pieces(int64_t count) { return (count + kPiece - 1) / kPiece; }

Floats magnitude(Floats v) { return (Floats)((Words)v & 0x7fffffffu); }

Floats sign(Floats v) { return v > 0 ? all(1) : v < 0 ? all(-1) : v * 0; }  // of NaN: NaN

template <bool kSquared, typename E>
double piece_error(const E* x, const E* y, int64_t count) {
  constexpr int kChains = 4;
  Floats sums[kChains] = {};
  const auto add = [&](Floats& sum, Floats difference) { sum += kSquared ? difference * difference : magnitude(difference); };
  int64_t i = 0;
  for (; i + kChains * kFloats <= count; i += kChains * kFloats)
    for (int c = 0; c < kChains; c++) add(sums[c], load(x + i + c * kFloats) - load(y + i + c * kFloats));
  for (; i < count; i += kFloats) add(sums[0], load(x + i, count - i) - load(y + i, count - i));
  double total = 0;
  for (const Floats& each : sums) total += double(sum(each));
  return total;
}

// Calls `body` with values whose types select the error and the type of numbers.
template <typename Body>
void with_error(bool squared, int element, Body&& body) {
  with_element(element, [&](auto type) { squared ? body(std::true_type(), type) : body(std::false_type(), type); });
}

int64_t error_bytes(int64_t count) { return pieces(count) * int64_t(sizeof(double)); }

double mean_error(const void* x, const void* y, int element, int64_t count, bool squared, void* scratch, int threads) {
  double* const totals = static_cast<double*>(scratch);
  with_error(squared, element, [&](auto is_squared, auto type) {
    using E = decltype(type);
    parallel_for(pieces(count), 4, threads, [&](int, int64_t begin, int64_t end) {
      for (int64_t p = begin; p < end; p++) {
        const int64_t first = p * kPiece, length = std::min(kPiece, count - first);
        totals[p] = piece_error<is_squared>(static_cast<const E*>(x) + first, static_cast<const E*>(y) + first, length);
      }
    });
  });
  double total = 0;
  for (int64_t p = 0; p < pieces(count); p++) total += totals[p];
  return total / double(count);
}

void error_backward(const void* x, const void* y, int element, int64_t count, bool squared, float scale, void* out,
                    int threads) {
  with_error(squared, element, [&](auto is_squared, auto type) {
    using E = decltype(type);
    const E *left = static_cast<const E*>(x), *right = static_cast<const E*>(y);
    parallel_for(pieces(count), 4, threads, [&](int, int64_t begin, int64_t end) {
      const int64_t last = std::min(end * kPiece, count);
      for (int64_t i = begin * kPiece; i < last; i += kFloats) {
        const Floats difference = load(left + i, last - i) - load(right + i, last - i);
        store(static_cast<E*>(out) + i, all(scale) * (is_squared ? difference : sign(difference)), last - i);
      }
    });
  });
}

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
const PerceptualOps perceptual = {error_bytes, mean_error, error_backward, gram_bytes, gram, bytes_to_mix, mix_features};

}  // namespace fastnst::FASTNST_VARIANT
