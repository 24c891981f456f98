// Numerical accuracy. Maps are cut into chunks, whose sums are merged in double precision and always in the same order. In a
// chunk of n numbers, sums are short and in float32, in one pass, of d = x - shift and of d^2:
//   mean = shift + sum(d) / n,   squares = sum((x - mean)^2) = sum(d^2) - n (mean - shift)^2
// The difference is harmless with shift = the mean of the first n_a = n / 8 numbers. Let D be the distance between their mean
// and that of the other n_b. Then mean - shift = D n_b / n, and squares is at least D^2 n_a n_b / n: the subtracted term is at
// most n_b / n_a = 7 times the result, which loses three bits in the worst case, and usually none.
// Parts a and b merge (Chan, Golub and LeVeque, 1979) to
//   mean = mean_a + D n_b / n,   squares = squares_a + squares_b + D^2 n_a n_b / n
// A map is then computed as scale * (x - shift) + offset with shift close to the mean: for a large mean the rounding errors of
// scale * x + offset would be large too.
#include "ops/adain.h"

#include <algorithm>
#include <cmath>
#include <type_traits>

#include "ops/adain_plan.h"

namespace fastnst::FASTNST_VARIANT {
namespace {

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

// Writes means and sums of squares of an image to scratch.partials: [2, channels].
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

// Writes the sums of an image to scratch.partials: [3, channels].
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
  if (squares < 0) squares = 0;  // by rounding errors of a constant channel
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

}  // namespace fastnst::FASTNST_VARIANT
