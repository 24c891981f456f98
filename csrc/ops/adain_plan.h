// How AdaIN's maps are cut into images, chunks and tiles of registers, and the memory for the sums of each.
#pragma once

#include <algorithm>

#include "base/parallel.h"
#include "ops/adain.h"
#include "ops/vector.h"

namespace fastnst::FASTNST_VARIANT {
namespace {

// Elements of a row, or positions, whose sums are float32.
constexpr int64_t kBlock = 4096;
// The part of a chunk whose mean is its shift: one in so many.
constexpr int64_t kStart = 8;
// Elements that a thread takes at a time: 128 KB of float32, for any second-level cache.
constexpr int64_t kChunk = 8 * kBlock;
// Bytes of float32 from which threads share an image. Smaller ones stay in the cache of the one thread that reads them twice.
constexpr int64_t kShared = int64_t(4) << 20;
// The number of independent sums: as many as the additions that can start during the latency of one.
constexpr int kSums = 4;

// Per channel: sums of a chunk, doubles; coefficients of a sweep, floats; space for a chunk's sums, floats.
constexpr int64_t kPartials = 3, kCoefficients = 5, kWork = 3;

struct Plan {
  int64_t images, positions, channels;
  int64_t chunk, chunks;  // positions in a chunk; chunks in an image
  int64_t padded;         // channels, rounded up to whole vectors and cache lines
  bool shared;            // whether all threads work on one image, or each on its own
  int64_t grain;          // images that a thread takes at a time if on its own
};

Plan make_plan(const MapShape& shape, int threads) {
  Plan plan{shape.images, shape.positions, shape.channels, kChunk, 1, 1, false, 1};
  // At least 64 positions, so that a chunk's sums are small compared with the chunk.
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

// The same in reverse order: what the sums have read last is still in the cache.
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

// The number of a chunk's first positions that can be read and written in whole vectors of channels without leaving the chunk.
int64_t whole_positions(int64_t positions, int64_t channels) {
  const int64_t reach = (channels + kFloats - 1) / kFloats * kFloats;
  return std::max<int64_t>(0, positions - (reach + channels - 1) / channels + 1);
}

// Positions and vectors of channels that are summed in registers before the sums are stored.
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

// Calls body(offset, channel, lanes) for every vector of channels, one position after the other. Lanes that a whole vector
// writes to the next positions are overwritten by these.
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

}  // namespace
}  // namespace fastnst::FASTNST_VARIANT
