// How the digits are kept. Maps are cut into chunks, whose sums are merged in double precision and always in the same order.
// Inside a chunk of n numbers, sums are of float32 and short, and taken once of d = x - shift and of d^2:
//   mean = shift + sum(d) / n,   squares = sum((x - mean)^2) = sum(d^2) - n (mean - shift)^2
// The difference is harmless with shift = the mean of the first n_a = n / 8 numbers. Let D be the distance between their mean
// and that of the other n_b. Then mean - shift = D n_b / n, and squares is at least D^2 n_a n_b / n: what is taken away is at
// most n_b / n_a = 7 times what is left, three bits in the worst case and far from it none.
// Parts a and b merge (Chan, Golub and LeVeque, 1979) to
//   mean = mean_a + D n_b / n,   squares = squares_a + squares_b + D^2 n_a n_b / n
// A map is then swept as scale * (x - shift) + offset with shift next to the mean: where the mean is large, the roundings of
// scale * x + offset would be as large.
#include "ops/adain.h"

#include <algorithm>
#include <cmath>
#include <type_traits>

#include "base/parallel.h"
#include "ops/vector.h"

namespace fastnst::FASTNST_PATH {
namespace {

// Elements of a row, or positions, whose sums are float32.
constexpr int64_t kBlock = 4096;
// The part of a chunk whose mean is its shift: one in so many.
constexpr int64_t kStart = 8;
// Elements that a thread takes at a time: 128 KB of float32, for any second-level cache.
constexpr int64_t kChunk = 8 * kBlock;
// Bytes of float32 from which threads share an image. Smaller ones stay in the cache of the one thread that reads them twice.
constexpr int64_t kShared = int64_t(4) << 20;
// Sums side by side: as many as additions fit into the time of one.
constexpr int kSums = 4;

// Per channel: sums that a chunk gives, doubles; numbers that a sweep takes, floats; space that a chunk's sums need, floats.
constexpr int64_t kPartials = 3, kCoefficients = 5, kWork = 3;

struct Plan {
  int64_t images, positions, channels;
  int64_t chunk, chunks;  // positions in a chunk; chunks in an image
  int64_t padded;         // channels, rounded up to whole vectors and cache lines
  bool shared;            // all threads work on one image, or each on its own
  int64_t grain;          // images that a thread takes at a time if on its own
};

Plan make_plan(const MapShape& shape, int threads) {
  Plan plan{shape.images, shape.positions, shape.channels, kChunk, 1, 1, false, 1};
  // At least 64 positions: a chunk's sums are to be small beside the chunk.
  if (plan.channels > 1) plan.chunk = std::clamp<int64_t>(kChunk / plan.channels, 64, kBlock);
  plan.chunks = (plan.positions + plan.chunk - 1) / plan.chunk;
  plan.padded = (plan.channels + 15) / 16 * 16;
  const int64_t elements = plan.positions * plan.channels;
  plan.shared = plan.chunks > 1 && (plan.images < 2 * threads || elements >= kShared / int64_t(sizeof(float)));
  plan.grain = std::max<int64_t>(1, kChunk / elements);
  return plan;
}

// An image's own memory, and that of the threads which work on it.
struct Scratch {
  double* partials;
  float* coefficients;
  float* first_work;
  int64_t padded;

  float* work(int slot) const { return first_work + slot * kWork * padded; }
};

int64_t partials_size(const Plan& plan) { return (plan.chunks * kPartials * plan.channels + 7) / 8 * 8; }

int64_t image_size(const Plan& plan) { return partials_size(plan) + kCoefficients * plan.padded / 2; }

int64_t scratch_size(const MapShape& shape, int threads) {
  const Plan plan = make_plan(shape, threads);
  return (plan.shared ? 1 : threads) * image_size(plan) + threads * kWork * plan.padded / 2;
}

// Calls body(image, scratch, threads) for every image, with the number of threads that it may use.
template <typename Body>
void each_image(const Plan& plan, double* scratch, int threads, Body&& body) {
  float* work = reinterpret_cast<float*>(scratch + (plan.shared ? 1 : threads) * image_size(plan));
  const auto run = [&](int64_t image, int slot, int helpers) {
    double* partials = scratch + slot * image_size(plan);
    float* coefficients = reinterpret_cast<float*>(partials + partials_size(plan));
    body(image, Scratch{partials, coefficients, work + slot * kWork * plan.padded, plan.padded}, helpers);
  };
  if (plan.shared) {
    for (int64_t image = 0; image < plan.images; image++) run(image, 0, threads);
  } else {
    parallel_for(plan.images, plan.grain, threads, [&](int slot, int64_t begin, int64_t end) {
      for (int64_t image = begin; image < end; image++) run(image, slot, 1);
    });
  }
}

// Calls body(slot, chunk, first position, positions) for every chunk of an image.
template <typename Body>
void each_chunk(const Plan& plan, int threads, Body&& body) {
  parallel_for(plan.chunks, 1, threads, [&](int slot, int64_t begin, int64_t end) {
    for (int64_t chunk = begin; chunk < end; chunk++)
      body(slot, chunk, chunk * plan.chunk, std::min(plan.chunk, plan.positions - chunk * plan.chunk));
  });
}

// The same from the end: what the sums have read last is still in cache.
template <typename Body>
void each_chunk_back(const Plan& plan, int threads, Body&& body) {
  each_chunk(plan, threads, [&](int, int64_t chunk, int64_t, int64_t) {
    const int64_t first = (plan.chunks - 1 - chunk) * plan.chunk;
    body(first, std::min(plan.chunk, plan.positions - first));
  });
}

// Calls body(offset, sum, lanes) for every vector of a row.
template <typename Body>
void each_vector(int64_t count, Body&& body) {
  int64_t i = 0;
  for (; i + kSums * kFloats <= count; i += kSums * kFloats)
    for (int k = 0; k < kSums; k++) body(i + k * kFloats, k, kFloats);
  for (; i < count; i += kFloats) body(i, 0, std::min<int64_t>(count - i, kFloats));
}

// How many of a chunk's first positions can be read and written in whole vectors of channels, without a byte beyond the chunk.
int64_t whole_positions(int64_t positions, int64_t channels) {
  const int64_t reach = (channels + kFloats - 1) / kFloats * kFloats;
  return std::max<int64_t>(0, positions - (reach + channels - 1) / channels + 1);
}

// Positions and vectors of channels that are summed in registers, before memory is told.
template <int kPositions, int kVectors>
struct Tile {
  static constexpr int positions = kPositions, vectors = kVectors;
};

// Calls body(tile, offset, channel, lanes) until tiles have covered all channels of all positions; lanes are those of every
// vector in the tile. A vector's last lanes may belong to the next positions.
template <typename Body>
void each_tile(int64_t positions, int64_t channels, Body&& body) {
  const int64_t whole = whole_positions(positions, channels), end = positions * channels;
  int64_t p = 0;
  for (; p + kSums <= whole; p += kSums) {
    int64_t c = 0;
    for (; c + kSums * kFloats <= channels; c += kSums * kFloats) body(Tile<kSums, kSums>(), p * channels + c, c, kFloats);
    for (; c < channels; c += kFloats) body(Tile<kSums, 1>(), p * channels + c, c, kFloats);
  }
  for (; p < positions; p++)
    for (int64_t c = 0, i = p * channels; c < channels; c += kFloats, i += kFloats)
      body(Tile<1, 1>(), i, c, std::min<int64_t>(end - i, kFloats));
}

// sums[channel] += v, for as many vectors as a tile has.
template <int kVectors>
void add_to(float* sums, const Floats (&v)[kVectors]) {
  for (int j = 0; j < kVectors; j++) store(sums + j * kFloats, load(sums + j * kFloats) + v[j]);
}

// Calls body(offset, channel, lanes) for every vector of channels, one position after the other: what a whole vector writes
// into the next positions, these write over.
template <typename Body>
void each_position(int64_t positions, int64_t channels, Body&& body) {
  const int64_t whole = whole_positions(positions, channels), end = positions * channels;
  int64_t p = 0;
  for (; p < whole; p++)
    for (int64_t c = 0; c < channels; c += kFloats) body(p * channels + c, c, kFloats);
  for (; p < positions; p++)
    for (int64_t c = 0, i = p * channels; c < channels; c += kFloats, i += kFloats)
      body(i, c, std::min<int64_t>(end - i, kFloats));
}

Floats total(const Floats* sums) { return (sums[0] + sums[1]) + (sums[2] + sums[3]); }

// Means and sums of squares of `count` more positions, added to those of `before`: [2, channels] each.
void merge(double* moments, double before, const double* more, double count, int64_t channels) {
  const double part = count / (before + count), weight = before * part;
  for (int64_t c = 0; c < channels; c++) {
    const double delta = more[c] - moments[c];
    moments[c] += delta * part;
    moments[channels + c] += more[channels + c] + delta * delta * weight;
  }
}

template <typename T>
void row_moments(const T* x, int64_t count, double* moments) {
  const int64_t start = std::min(count, (count / kStart / kFloats + 1) * kFloats);
  Floats lead[kSums] = {};
  each_vector(start, [&](int64_t i, int k, int64_t lanes) { lead[k] += load(x + i, lanes); });
  const float shift = sum(total(lead)) / float(start);
  double rest = 0, squares = 0;
  for (int64_t begin = 0; begin < count; begin += kBlock) {
    Floats s[kSums] = {}, q[kSums] = {};
    each_vector(std::min(kBlock, count - begin), [&](int64_t i, int k, int64_t lanes) {
      const Floats d = first(load(x + begin + i, lanes) - all(shift), lanes);
      s[k] += d;
      q[k] += d * d;
    });
    rest += double(sum(total(s)));
    squares += double(sum(total(q)));
  }
  moments[0] = double(shift) + rest / double(count);
  moments[1] = squares - rest * rest / double(count);
}

template <typename T>
void channel_moments(const T* x, int64_t positions, int64_t channels, int64_t padded, float* work, double* moments) {
  float *shift = work, *sums = shift + padded, *squares = sums + padded;
  for (int64_t c = 0; c < kWork * padded; c++) work[c] = 0;
  const int64_t start = (positions + kStart - 1) / kStart;
  each_tile(start, channels, [&](auto tile, int64_t i, int64_t c, int64_t lanes) {
    Floats s[tile.vectors] = {};
    for (int k = 0; k < tile.positions; k++)
      for (int j = 0; j < tile.vectors; j++) s[j] += load(x + i + k * channels + j * kFloats, lanes);
    add_to(shift + c, s);
  });
  for (int64_t c = 0; c < channels; c++) shift[c] /= float(start);
  each_tile(positions, channels, [&](auto tile, int64_t i, int64_t c, int64_t lanes) {
    Floats s[tile.vectors] = {}, q[tile.vectors] = {};
    for (int k = 0; k < tile.positions; k++)
      for (int j = 0; j < tile.vectors; j++) {
        const Floats d = load(x + i + k * channels + j * kFloats, lanes) - load(shift + c + j * kFloats);
        s[j] += d;
        q[j] += d * d;
      }
    add_to(sums + c, s);
    add_to(squares + c, q);
  });
  for (int64_t c = 0; c < channels; c++) {
    const double rest = double(sums[c]);
    moments[c] = double(shift[c]) + rest / double(positions);
    moments[channels + c] = double(squares[c]) - rest * rest / double(positions);
  }
}

// Leaves means and sums of squares of an image in scratch.partials: [2, channels].
template <typename T>
void image_moments(const Plan& plan, const T* x, const Scratch& scratch, int threads) {
  const int64_t channels = plan.channels;
  each_chunk(plan, threads, [&](int slot, int64_t chunk, int64_t begin, int64_t count) {
    double* moments = scratch.partials + chunk * kPartials * channels;
    if (channels == 1)
      row_moments(x + begin, count, moments);
    else
      channel_moments(x + begin * channels, count, channels, plan.padded, scratch.work(slot), moments);
  });
  for (int64_t chunk = 1; chunk < plan.chunks; chunk++) {
    const int64_t before = chunk * plan.chunk, count = std::min(plan.chunk, plan.positions - before);
    merge(scratch.partials, double(before), scratch.partials + chunk * kPartials * channels, double(count), channels);
  }
}

// out = scale * (x - shift) + offset, the coefficients [3, padded] in this order.
template <typename T>
void sweep(const Plan& plan, const T* x, T* out, int64_t positions, const float* coefficients) {
  const float *shift = coefficients, *scale = shift + plan.padded, *offset = scale + plan.padded;
  if (plan.channels == 1) {
    const Floats s = all(*shift), a = all(*scale), b = all(*offset);
    each_vector(positions, [&](int64_t i, int, int64_t lanes) { store(out + i, a * (load(x + i, lanes) - s) + b, lanes); });
    return;
  }
  each_position(positions, plan.channels, [&](int64_t i, int64_t c, int64_t lanes) {
    store(out + i, load(scale + c) * (load(x + i, lanes) - load(shift + c)) + load(offset + c), lanes);
  });
}

// Sums of grad, of d = x - shift and of grad * d: [3] and, for channels, [3, channels].
template <typename T>
void row_sums(const T* grad, const T* x, int64_t count, float shift, double* sums) {
  sums[0] = sums[1] = sums[2] = 0;
  for (int64_t begin = 0; begin < count; begin += kBlock) {
    Floats s[3][kSums] = {};
    each_vector(std::min(kBlock, count - begin), [&](int64_t i, int k, int64_t lanes) {
      const Floats g = load(grad + begin + i, lanes), d = first(load(x + begin + i, lanes) - all(shift), lanes);
      s[0][k] += g;
      s[1][k] += d;
      s[2][k] += g * d;
    });
    for (int k = 0; k < 3; k++) sums[k] += double(sum(total(s[k])));
  }
}

template <typename T>
void channel_sums(const T* grad, const T* x, int64_t positions, int64_t channels, int64_t padded, const float* shift,
                  float* work, double* sums) {
  for (int64_t c = 0; c < kWork * padded; c++) work[c] = 0;
  each_tile(positions, channels, [&](auto tile, int64_t i, int64_t c, int64_t lanes) {
    Floats of_grad[tile.vectors] = {}, of_d[tile.vectors] = {}, of_product[tile.vectors] = {};
    for (int k = 0; k < tile.positions; k++)
      for (int j = 0; j < tile.vectors; j++) {
        const int64_t at = i + k * channels + j * kFloats;
        const Floats g = load(grad + at, lanes), d = load(x + at, lanes) - load(shift + c + j * kFloats);
        of_grad[j] += g;
        of_d[j] += d;
        of_product[j] += g * d;
      }
    add_to(work + c, of_grad);
    add_to(work + padded + c, of_d);
    add_to(work + 2 * padded + c, of_product);
  });
  for (int k = 0; k < 3; k++)
    for (int64_t c = 0; c < channels; c++) sums[k * channels + c] = double(work[k * padded + c]);
}

// Leaves the sums of an image in scratch.partials: [3, channels].
template <typename T>
void image_sums(const Plan& plan, const T* grad, const T* x, const float* shift, const Scratch& scratch, int threads) {
  const int64_t channels = plan.channels, size = kPartials * channels;
  each_chunk(plan, threads, [&](int slot, int64_t chunk, int64_t begin, int64_t count) {
    double* sums = scratch.partials + chunk * size;
    const T *g = grad + begin * channels, *values = x + begin * channels;
    if (channels == 1)
      row_sums(g, values, count, *shift, sums);
    else
      channel_sums(g, values, count, channels, plan.padded, shift, scratch.work(slot), sums);
  });
  for (int64_t chunk = 1; chunk < plan.chunks; chunk++)
    for (int64_t i = 0; i < size; i++) scratch.partials[i] += scratch.partials[chunk * size + i];
}

// dx = scale * (grad - middle) + slope * (x - shift) + offset, the coefficients [5, padded]: shift, middle, scale, slope,
// offset.
template <typename T>
void sweep_back(const Plan& plan, const T* grad, const T* x, T* dx, int64_t positions, const float* coefficients) {
  const float *shift = coefficients, *middle = shift + plan.padded, *scale = middle + plan.padded;
  const float *slope = scale + plan.padded, *offset = slope + plan.padded;
  if (plan.channels == 1) {
    const Floats s = all(*shift), m = all(*middle), p = all(*scale), q = all(*slope), b = all(*offset);
    each_vector(positions, [&](int64_t i, int, int64_t lanes) {
      store(dx + i, p * (load(grad + i, lanes) - m) + (q * (load(x + i, lanes) - s) + b), lanes);
    });
    return;
  }
  each_position(positions, plan.channels, [&](int64_t i, int64_t c, int64_t lanes) {
    const Floats values = load(slope + c) * (load(x + i, lanes) - load(shift + c)) + load(offset + c);
    store(dx + i, load(scale + c) * (load(grad + i, lanes) - load(middle + c)) + values, lanes);
  });
}

double deviation(const Plan& plan, double squares, double eps) {
  if (squares < 0) squares = 0;  // by the roundings of a constant channel
  return std::sqrt(squares / double(std::max<int64_t>(plan.positions - 1, 1)) + eps);
}

void channel_stats(const MapShape& shape, const void* x, double eps, float* mean, float* std, double* scratch, int threads) {
  const Plan plan = make_plan(shape, threads);
  const int64_t channels = plan.channels;
  with_element(shape.element, [&](auto type) {
    each_image(plan, scratch, threads, [&](int64_t image, const Scratch& own, int helpers) {
      image_moments(plan, static_cast<const decltype(type)*>(x) + image * plan.positions * channels, own, helpers);
      for (int64_t c = 0; c < channels; c++) {
        mean[image * channels + c] = float(own.partials[c]);
        std[image * channels + c] = float(deviation(plan, own.partials[channels + c], eps));
      }
    });
  });
}

void channel_stats_backward(const MapShape& shape, const float* grad_mean, const float* grad_std, const void* x,
                            const float* mean, const float* std, void* dx, double* scratch, int threads) {
  const Plan plan = make_plan(shape, threads);
  const double n = double(plan.positions), freedom = std::max(n - 1, 1.0);
  with_element(shape.element, [&](auto type) {
    using T = decltype(type);
    each_image(plan, scratch, threads, [&](int64_t image, const Scratch& own, int helpers) {
      const int64_t first_channel = image * plan.channels;
      float *shift = own.coefficients, *scale = shift + plan.padded, *offset = scale + plan.padded;
      for (int64_t c = 0; c < plan.channels; c++) {
        const int64_t i = first_channel + c;
        shift[c] = mean[i];
        scale[c] = float(double(grad_std[i]) / (freedom * double(std[i])));
        offset[c] = float(double(grad_mean[i]) / n);
      }
      each_chunk_back(plan, helpers, [&](int64_t begin, int64_t count) {
        const int64_t at = (image * plan.positions + begin) * plan.channels;
        sweep(plan, static_cast<const T*>(x) + at, static_cast<T*>(dx) + at, count, own.coefficients);
      });
    });
  });
}

void apply(const MapShape& shape, const void* content, const float* style_mean, const float* style_std, double eps, void* out,
           float* mean, float* std, double* scratch, int threads) {
  const Plan plan = make_plan(shape, threads);
  const int64_t channels = plan.channels;
  with_element(shape.element, [&](auto type) {
    using T = decltype(type);
    each_image(plan, scratch, threads, [&](int64_t image, const Scratch& own, int helpers) {
      const int64_t origin = image * plan.positions * channels;
      image_moments(plan, static_cast<const T*>(content) + origin, own, helpers);
      float *shift = own.coefficients, *scale = shift + plan.padded, *offset = scale + plan.padded;
      for (int64_t c = 0; c < channels; c++) {
        const int64_t i = image * channels + c;
        const double middle = own.partials[c], spread = deviation(plan, own.partials[channels + c], eps);
        mean[i] = shift[c] = float(middle);
        std[i] = float(spread);
        scale[c] = float(double(style_std[i]) / spread);
        offset[c] = float(double(style_mean[i]) + double(scale[c]) * (double(shift[c]) - middle));
      }
      each_chunk_back(plan, helpers, [&](int64_t begin, int64_t count) {
        const int64_t at = origin + begin * channels;
        sweep(plan, static_cast<const T*>(content) + at, static_cast<T*>(out) + at, count, own.coefficients);
      });
    });
  });
}

void apply_backward(const MapShape& shape, const void* grad, const void* content, const float* mean, const float* std,
                    const float* style_std, void* dcontent, float* dstyle_mean, float* dstyle_std, double* scratch,
                    int threads) {
  const Plan plan = make_plan(shape, threads);
  const int64_t channels = plan.channels;
  const double n = double(plan.positions), freedom = std::max(n - 1, 1.0);
  with_element(shape.element, [&](auto type) {
    using T = decltype(type);
    each_image(plan, scratch, threads, [&](int64_t image, const Scratch& own, int helpers) {
      const int64_t origin = image * plan.positions * channels;
      const T *g = static_cast<const T*>(grad) + origin, *x = static_cast<const T*>(content) + origin;
      float *shift = own.coefficients, *middle = shift + plan.padded, *scale = middle + plan.padded;
      float *slope = scale + plan.padded, *offset = slope + plan.padded;
      for (int64_t c = 0; c < channels; c++) shift[c] = mean[image * channels + c];
      image_sums(plan, g, x, shift, own, helpers);
      const double *sum_grad = own.partials, *sum_d = sum_grad + channels, *sum_product = sum_d + channels;
      for (int64_t c = 0; c < channels; c++) {
        const int64_t i = image * channels + c;
        const double spread = double(std[i]), mean_grad = sum_grad[c] / n;
        const double error = sum_d[c] / n;  // of `mean`, which float32 has rounded: z = (d - error) / spread
        const double product = (sum_product[c] - sum_grad[c] * error) / spread;
        dstyle_mean[i] = float(sum_grad[c]);
        dstyle_std[i] = float(product);
        middle[c] = float(mean_grad);
        scale[c] = float(double(style_std[i]) / spread);
        slope[c] = float(-double(scale[c]) * product / (freedom * spread));
        offset[c] = float(double(scale[c]) * (double(middle[c]) - mean_grad) - double(slope[c]) * error);
      }
      each_chunk_back(plan, helpers, [&](int64_t begin, int64_t count) {
        const int64_t at = begin * channels;
        sweep_back(plan, g + at, x + at, static_cast<T*>(dcontent) + origin + at, count, own.coefficients);
      });
    });
  });
}

}  // namespace

extern const AdainOps adain;
const AdainOps adain = {scratch_size, channel_stats, channel_stats_backward, apply, apply_backward};

}  // namespace fastnst::FASTNST_PATH
