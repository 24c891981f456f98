// Products over all positions of feature maps, and of matrices with feature maps. Everything is in the variant's own namespace.
#pragma once

#include "base/parallel.h"
#include "ops/feature_map.h"
#include "ops/panels.h"

namespace fastnst::FASTNST_VARIANT {

// --- products of channels
// -----------------------------------------------------------------------------------------------------

// How the products of all pairs of channels are divided: into blocks of channels, and ranges of positions whose sums are added
// in order at the end. This, and so every rounding, is independent of the number of threads.
template <typename T>
struct Division {
  static constexpr int64_t kBlock = 256, kJobs = 32, kShortest = 1024, kPacked = 256 << 10;
  int64_t blocks, block, pairs, step, ranges, range, jobs;

  Division(int64_t batch, int64_t channels, int64_t positions, bool symmetric) {
    blocks = (channels + kBlock - 1) / kBlock;
    block = round_up_to((channels + blocks - 1) / blocks, kPanel<T>);
    pairs = symmetric ? blocks * (blocks + 1) / 2 : blocks * blocks;
    step = least(kShortest, kPacked / (block * int64_t(sizeof(T))) / kFloats * kFloats);
    const int64_t wanted = (kJobs + batch * pairs - 1) / (batch * pairs);
    ranges = least(wanted, (positions + kShortest - 1) / kShortest);
    range = round_up_to((positions + ranges - 1) / ranges, step);
    ranges = (positions + range - 1) / range;
    jobs = batch * pairs * ranges;
  }
  int64_t bytes(int threads) const { return int64_t(sizeof(T)) * block * (jobs * block + threads * 2 * step); }
};

struct Pair {
  int64_t row, column;
};

// The blocks of pair `index`. Of symmetric products those on and below the diagonal; those on it, with half the work, are last.
static inline Pair pair_of(int64_t index, int64_t blocks, bool symmetric) {
  if (!symmetric) return {index / blocks, index % blocks};
  const int64_t below = blocks * (blocks - 1) / 2;
  if (index >= below) return {index - below, index - below};
  int64_t row = 1;
  while (index >= row) index -= row++;
  return {row, index};
}

// out [batch, C, C] = scale * (left - left_shift) (right - right_shift)^T, summed over the positions; a shift [batch, C] may be
// absent. Without `right`, which has the sizes of `left`, it is `left` itself.
template <typename T, typename E, typename Out>
static void correlate(const FeatureMap& left, const T* left_shift, const FeatureMap* right, const T* right_shift, double scale,
                      Out* out, void* scratch, int threads) {
  const bool symmetric = right == nullptr;
  const Division<T> division(left.batch, left.channels, left.positions, symmetric);
  const int64_t block = division.block, tile = block * block, ranges = division.ranges, channels = left.channels;
  T* sums = static_cast<T*>(scratch);  // [pairs, batch, ranges] tiles
  T* panels = sums + division.jobs * tile;
  const auto height = [=](int64_t index) { return least(block, channels - index * block); };

  parallel_for(division.jobs, 1, threads, [&](int slot, int64_t begin, int64_t end) {
    T* mine = panels + slot * 2 * block * division.step;
    const auto pack_block = [&](const FeatureMap& x, const T* shift, int64_t image, int64_t index, int64_t position,
                                int64_t step, T* to) {
      const Strides strides = strides_of(x);
      const E* source = static_cast<const E*>(x.data) + image * strides.image + index * block * strides.channel;
      const Shift<T> less{nullptr, shift == nullptr ? nullptr : shift + image * channels + index * block};
      const Panels<T> packed = panel_major(to, step);
      pack(source + position * strides.position, strides.position, strides.channel, step, height(index), less, packed);
      return packed;
    };
    for (int64_t job = begin; job < end; job++) {
      const Pair pair = pair_of(job / (left.batch * ranges), division.blocks, symmetric);
      const int64_t image = job / ranges % left.batch, first = job % ranges * division.range;
      const Panels<T> sum = panel_major(sums + job * tile, block);
      std::memset(sum.data, 0, sizeof(T) * size_t(tile));
      for (int64_t k = first, last = least(first + division.range, left.positions); k < last; k += division.step) {
        const int64_t step = least(division.step, last - k);
        const Panels<T> a = pack_block(left, left_shift, image, pair.row, k, step, mine);
        const bool same = symmetric && pair.row == pair.column;
        T* second = mine + block * division.step;
        const Panels<T> b = same ? a
                                 : pack_block(symmetric ? left : *right, symmetric ? left_shift : right_shift, image,
                                              pair.column, k, step, second);
        add_product(height(pair.row), height(pair.column), step, transposed(a), b, sum, same);
      }
    }
  });

  constexpr int64_t kGroup = 8;
  const int64_t groups = (block + kGroup - 1) / kGroup;
  parallel_for(division.pairs * left.batch * groups, 1, threads, [&](int, int64_t begin, int64_t end) {
    for (int64_t item = begin; item < end; item++) {
      const Pair pair = pair_of(item / (left.batch * groups), division.blocks, symmetric);
      const int64_t image = item / groups % left.batch, rows = height(pair.row), columns = height(pair.column);
      const T* first = sums + item / groups * ranges * tile;
      Out* result = out + image * channels * channels + pair.row * block * channels + pair.column * block;
      Out* mirrored = out + image * channels * channels + pair.column * block * channels + pair.row * block;
      const int64_t top = item % groups * kGroup;
      const int64_t bottom = least(top + kGroup, rows);
      const bool diagonal = symmetric && pair.row == pair.column;
      for (int64_t j = 0; j < (diagonal ? bottom : columns); j += kPanel<T>) {
        double totals[kGroup][kPanel<T>] = {};
        for (int64_t r = 0; r < ranges; r++)
          for (int64_t i = top; i < bottom; i++)
            for (int64_t c = 0; c < kPanel<T>; c++) totals[i - top][c] += first[r * tile + j * block + i * kPanel<T> + c];
        const int64_t width = least(kPanel<T>, columns - j);
        for (int64_t i = top; i < bottom; i++)
          for (int64_t c = 0; c < (diagonal ? least(width, i + 1 - j) : width); c++)
            result[i * channels + j + c] = Out(scale * totals[i - top][c]);
        if (symmetric)
          for (int64_t c = 0; c < width; c++)
            for (int64_t i = diagonal ? most(top, j + c) : top; i < bottom; i++)
              mirrored[(j + c) * channels + i] = Out(scale * totals[i - top][c]);
      }
    }
  });
}

// --- matrices times features
// --------------------------------------------------------------------------------------------------

// Positions that are processed together: as many as fit into the second-level cache with inputs and outputs.
template <typename T>
static inline int64_t tile_of(const FeatureMap& x) {
  constexpr int64_t kPacked = 192 << 10, kLongest = 1024;
  return most(kPanel<T>, least(kLongest, kPacked / (x.channels * int64_t(sizeof(T)))) / kPanel<T> * kPanel<T>);
}

template <typename T>
static inline int64_t mix_bytes(const FeatureMap& x, int threads) {
  return int64_t(sizeof(T)) * threads * 2 * x.channels * tile_of<T>(x);
}

// out = matrix (x - shift) + offset, of x's type and layout. `matrix` is [batch, C, C] with rows of `pitch` elements; shift and
// offset are [batch, C] or absent.
template <typename T, typename E>
static void mix(const T* matrix, int64_t pitch, const FeatureMap& x, const T* shift, const T* offset, E* out, void* scratch,
                int threads) {
  const int64_t channels = x.channels, tile = tile_of<T>(x), tiles = (x.positions + tile - 1) / tile;
  const Strides strides = strides_of(x);
  parallel_for(x.batch * tiles, 1, threads, [&](int slot, int64_t begin, int64_t end) {
    const Panels<T> in = panel_major(static_cast<T*>(scratch) + slot * 2 * channels * tile, channels);
    const Panels<T> result = panel_major(in.data + channels * tile, channels);
    for (int64_t item = begin; item < end; item++) {
      const int64_t image = item / tiles, position = item % tiles * tile;
      const int64_t columns = least(tile, x.positions - position), at = image * strides.image + position * strides.position;
      const Shift<T> less{shift == nullptr ? nullptr : shift + image * channels, nullptr};
      pack(static_cast<const E*>(x.data) + at, strides.channel, strides.position, channels, columns, less, in);
      std::memset(result.data, 0, sizeof(T) * size_t(channels * tile));
      const Panels<T> factor = row_major(const_cast<T*>(matrix) + image * channels * pitch, pitch);
      add_product(channels, columns, channels, as_left(factor), in, result);
      unpack(result, channels, columns, offset == nullptr ? nullptr : offset + image * channels, out + at, strides.channel,
             strides.position);
    }
  });
}

}  // namespace fastnst::FASTNST_VARIANT
