// Numerical accuracy. A picture is cut into chunks and these into blocks. In a block sums are in float32 and of d = x - shift,
// where shift is the block's mean in float32; the effect of its rounding error is subtracted from the products, and is small
// compared with them. Blocks and chunks are merged in double precision, always in the same order.
#include "ops/color.h"

#include <algorithm>
#include <type_traits>

#include "base/parallel.h"
#include "ops/vector.h"

namespace fastnst::FASTNST_VARIANT {
namespace {

constexpr int kChannels = 3;
// Positions whose sums are float32; their colours stay in the first-level cache.
constexpr int64_t kBlock = 1024;
// The number of positions that a thread takes at a time.
constexpr int64_t kChunk = 8 * kBlock;
// The mean of each channel, then the products of the pairs of channels on and above the diagonal, by rows.
constexpr int kMoments = kChannels + 6;
// The sum of each channel of the gradient, then its products with the channels of the picture, by rows.
constexpr int kSums = kChannels + 9;
static_assert(kSums >= kMoments);

// A block of colours as a row of float32 for each channel.
struct Block {
  const float* row[kChannels];
  alignas(64) float values[kChannels * kBlock];
};

// Calls body(offset, lanes) for every vector of a row.
template <typename Body>
void each_vector(int64_t count, Body&& body) {
  for (int64_t i = 0; i < count; i += kFloats) body(i, std::min<int64_t>(count - i, kFloats));
}

// The offset of a position's first channel, in elements.
int64_t place(const FeatureMap& x, int64_t image, int64_t position) {
  return image * kChannels * x.positions + (x.channels_last ? kChannels * position : position);
}

template <typename T>
void read(const FeatureMap& x, int64_t image, int64_t begin, int64_t count, Block& block) {
  const T* from = static_cast<const T*>(x.data) + place(x, image, begin);
  if (!x.channels_last) {
    for (int c = 0; c < kChannels; c++) {
      const T* channel = from + c * x.positions;
      if constexpr (std::is_same_v<T, float>) {
        block.row[c] = channel;
      } else {
        float* row = block.values + c * kBlock;
        each_vector(count, [&](int64_t i, int64_t lanes) { store(row + i, load(channel + i, lanes), lanes); });
        block.row[c] = row;
      }
    }
    return;
  }
  alignas(64) float widened[std::is_same_v<T, float> ? 1 : kChannels * kBlock];
  const float* side_by_side = widened;
  if constexpr (std::is_same_v<T, float>)
    side_by_side = from;
  else
    each_vector(kChannels * count, [&](int64_t i, int64_t lanes) { store(widened + i, load(from + i, lanes), lanes); });
  for (int c = 0; c < kChannels; c++) {
    float* row = block.values + c * kBlock;
    for (int64_t i = 0; i < count; i++) row[i] = side_by_side[kChannels * i + c];
    block.row[c] = row;
  }
}

// Writes the block's values, which are in `rows` of kBlock, to the same place of a map like x.
template <typename T>
void write(const FeatureMap& x, int64_t image, int64_t begin, int64_t count, const float* rows, void* out) {
  T* to = static_cast<T*>(out) + place(x, image, begin);
  if (!x.channels_last) {
    for (int c = 0; c < kChannels; c++) {
      const float* row = rows + c * kBlock;
      T* channel = to + c * x.positions;
      each_vector(count, [&](int64_t i, int64_t lanes) { store(channel + i, load(row + i, lanes), lanes); });
    }
    return;
  }
  alignas(64) float side_by_side[kChannels * kBlock];
  for (int c = 0; c < kChannels; c++) {
    const float* row = rows + c * kBlock;
    for (int64_t i = 0; i < count; i++) side_by_side[kChannels * i + c] = row[i];
  }
  each_vector(kChannels * count, [&](int64_t i, int64_t lanes) { store(to + i, load(side_by_side + i, lanes), lanes); });
}

int64_t chunks_of(const FeatureMap& x) { return (x.positions + kChunk - 1) / kChunk; }

int64_t scratch_size(const FeatureMap& x) { return x.batch * chunks_of(x) * kSums; }

// Calls body(item, image, begin, end) for every chunk of every picture; items count them in this order.
template <typename Body>
void each_chunk(const FeatureMap& x, int threads, Body&& body) {
  const int64_t chunks = chunks_of(x);
  parallel_for(x.batch * chunks, 1, threads, [&](int, int64_t first, int64_t last) {
    for (int64_t item = first; item < last; item++) {
      const int64_t begin = item % chunks * kChunk;
      body(item, item / chunks, begin, std::min(begin + kChunk, x.positions));
    }
  });
}

// Merges the moments of `count` more positions into those of `before` positions (Chan, Golub and LeVeque, 1979).
void merge(double* moments, double before, const double* more, double count) {
  const double part = count / (before + count), weight = before * part;
  double delta[kChannels];
  for (int c = 0; c < kChannels; c++) delta[c] = more[c] - moments[c];
  for (int c = 0; c < kChannels; c++) moments[c] += delta[c] * part;
  for (int i = 0, k = kChannels; i < kChannels; i++)
    for (int j = i; j < kChannels; j++, k++) moments[k] += more[k] + delta[i] * delta[j] * weight;
}

void block_moments(const Block& block, int64_t count, double* moments) {
  Floats sums[kChannels] = {};
  each_vector(count, [&](int64_t i, int64_t lanes) {
    for (int c = 0; c < kChannels; c++) sums[c] += load(block.row[c] + i, lanes);
  });
  float shift[kChannels];
  for (int c = 0; c < kChannels; c++) shift[c] = sum(sums[c]) / float(count);

  Floats rests[kChannels] = {}, products[kMoments - kChannels] = {};
  each_vector(count, [&](int64_t i, int64_t lanes) {
    Floats d[kChannels];
    for (int c = 0; c < kChannels; c++) {
      d[c] = first(load(block.row[c] + i, lanes) - all(shift[c]), lanes);
      rests[c] += d[c];
    }
    for (int a = 0, k = 0; a < kChannels; a++)
      for (int b = a; b < kChannels; b++, k++) products[k] += d[a] * d[b];
  });
  double rest[kChannels];
  for (int c = 0; c < kChannels; c++) {
    rest[c] = double(sum(rests[c]));
    moments[c] = double(shift[c]) + rest[c] / double(count);
  }
  for (int a = 0, k = 0; a < kChannels; a++)
    for (int b = a; b < kChannels; b++, k++)
      moments[kChannels + k] = double(sum(products[k])) - rest[a] * rest[b] / double(count);
}

void moments(const FeatureMap& x, double* mean, double* covariance, double* scratch, int threads) {
  with_element(x.element, [&](auto type) {
    each_chunk(x, threads, [&](int64_t item, int64_t image, int64_t begin, int64_t end) {
      Block block;
      double* total = scratch + item * kMoments;
      std::fill_n(total, kMoments, 0.0);
      for (int64_t at = begin; at < end; at += kBlock) {
        const int64_t count = std::min(kBlock, end - at);
        double more[kMoments];
        read<decltype(type)>(x, image, at, count, block);
        block_moments(block, count, more);
        merge(total, double(at - begin), more, double(count));
      }
    });
  });
  const int64_t chunks = chunks_of(x);
  for (int64_t image = 0; image < x.batch; image++) {
    double* total = scratch + image * chunks * kMoments;
    for (int64_t chunk = 1; chunk < chunks; chunk++)
      merge(total, double(chunk * kChunk), total + chunk * kMoments, double(std::min(kChunk, x.positions - chunk * kChunk)));
    std::copy_n(total, kChannels, mean + image * kChannels);
    double* out = covariance + image * kChannels * kChannels;
    for (int a = 0, k = kChannels; a < kChannels; a++)
      for (int b = a; b < kChannels; b++, k++) out[a * kChannels + b] = out[b * kChannels + a] = total[k] / double(x.positions);
  }
}

void block_sums(const Block& grad, const Block& x, int64_t count, const float* shift, double* sums) {
  Floats totals[kChannels] = {}, products[kChannels][kChannels] = {};
  each_vector(count, [&](int64_t i, int64_t lanes) {
    Floats d[kChannels];
    for (int c = 0; c < kChannels; c++) d[c] = load(x.row[c] + i, lanes) - all(shift[c]);
    for (int a = 0; a < kChannels; a++) {
      const Floats g = load(grad.row[a] + i, lanes);
      totals[a] += g;
      // Beyond the last position the gradient is 0.
      for (int b = 0; b < kChannels; b++) products[a][b] += g * d[b];
    }
  });
  for (int a = 0; a < kChannels; a++) {
    sums[a] += double(sum(totals[a]));
    for (int b = 0; b < kChannels; b++) sums[kChannels + a * kChannels + b] += double(sum(products[a][b]));
  }
}

void products(const FeatureMap& grad, const FeatureMap& x, const double* mean, double* total, double* products, double* scratch,
              int threads) {
  with_element(x.element, [&](auto type) {
    using T = decltype(type);
    each_chunk(x, threads, [&](int64_t item, int64_t image, int64_t begin, int64_t end) {
      Block of_grad, of_x;
      double* sums = scratch + item * kSums;
      std::fill_n(sums, kSums, 0.0);
      float shift[kChannels];
      for (int c = 0; c < kChannels; c++) shift[c] = float(mean[image * kChannels + c]);
      for (int64_t at = begin; at < end; at += kBlock) {
        const int64_t count = std::min(kBlock, end - at);
        read<T>(grad, image, at, count, of_grad);
        read<T>(x, image, at, count, of_x);
        block_sums(of_grad, of_x, count, shift, sums);
      }
    });
  });
  const int64_t chunks = chunks_of(x);
  for (int64_t image = 0; image < x.batch; image++) {
    double* sums = scratch + image * chunks * kSums;
    for (int64_t chunk = 1; chunk < chunks; chunk++)
      for (int k = 0; k < kSums; k++) sums[k] += sums[chunk * kSums + k];
    const double* middle = mean + image * kChannels;
    for (int a = 0; a < kChannels; a++) {
      total[image * kChannels + a] = sums[a];
      for (int b = 0; b < kChannels; b++) {
        const double rounding = double(float(middle[b])) - middle[b];
        const int64_t entry = a * kChannels + b;
        products[image * kChannels * kChannels + entry] = sums[kChannels + entry] + sums[a] * rounding;
      }
    }
  }
}

// to[c] = offset[c] + the sum of the terms' rows c, each of which takes a block.
template <int kTerms>
void sweep_block(const Block* blocks, int64_t count, const float* const* matrices, const float* const* shifts,
                 const float* offset, float* to) {
  each_vector(count, [&](int64_t i, int64_t lanes) {
    Floats out[kChannels];
    for (int c = 0; c < kChannels; c++) out[c] = all(offset[c]);
    for (int t = 0; t < kTerms; t++)
      for (int b = 0; b < kChannels; b++) {
        const Floats d = load(blocks[t].row[b] + i, lanes) - all(shifts[t][b]);
        for (int a = 0; a < kChannels; a++) out[a] += all(matrices[t][a * kChannels + b]) * d;
      }
    for (int c = 0; c < kChannels; c++) store(to + c * kBlock + i, out[c], lanes);
  });
}

template <int kTerms>
void sweep_terms(const ColorTerm* terms, const float* offset, void* out, int threads) {
  const FeatureMap& x = terms[0].x;
  with_element(x.element, [&](auto type) {
    using T = decltype(type);
    const int64_t items = x.batch * chunks_of(x);
    // In reverse order: what an earlier pass has read last is still in the cache.
    each_chunk(x, threads, [&](int64_t item, int64_t, int64_t, int64_t) {
      const int64_t mirrored = items - 1 - item, image = mirrored / chunks_of(x), begin = mirrored % chunks_of(x) * kChunk;
      const int64_t end = std::min(begin + kChunk, x.positions);
      Block blocks[kTerms];
      const float *matrices[kTerms], *shifts[kTerms];
      for (int t = 0; t < kTerms; t++) {
        matrices[t] = terms[t].matrix + image * kChannels * kChannels;
        shifts[t] = terms[t].shift + image * kChannels;
      }
      alignas(64) float rows[kChannels * kBlock];
      for (int64_t at = begin; at < end; at += kBlock) {
        const int64_t count = std::min(kBlock, end - at);
        for (int t = 0; t < kTerms; t++) read<T>(terms[t].x, image, at, count, blocks[t]);
        sweep_block<kTerms>(blocks, count, matrices, shifts, offset + image * kChannels, rows);
        write<T>(x, image, at, count, rows, out);
      }
    });
  });
}

void sweep(const ColorTerm* terms, int count, const float* offset, void* out, int threads) {
  if (count == 1)
    sweep_terms<1>(terms, offset, out, threads);
  else
    sweep_terms<2>(terms, offset, out, threads);
}

}  // namespace

extern const ColorOps color;
const ColorOps color = {scratch_size, moments, products, sweep};

}  // namespace fastnst::FASTNST_VARIANT
