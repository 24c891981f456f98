// Products of bytes in pairs, by the instruction whose sums have 16 bits and saturate. ShortBlocks say which steps may be
// summed so: the weights that meet in one sum have been proved small enough (engine/short_sums.h). Only sums are widened.
//
// The including file gives `Ops`, x86 vectors of some length:
//   Vector, bytes                  and its length
//   load, load_aligned             from any address, and from one of whole vectors
//   splat                          the same 32 bits in every lane
//   dot_bytes, dot                 the sums of two products: of bytes without and with sign to 16 bits, and of 16 bits to 32
//   add16, add32                   sums; `accumulate` adds to a vector in its place
//   low_bytes, high_bytes          of each 16 bits, as 16 bits
//   either, has_high_bit           the or of two; whether any byte is above 127
#pragma once

#include "engine/kernels/pairs.h"

namespace fastnst {
namespace {

// Whether none of the bytes from a tile's first to its last has the highest bit.
template <typename Ops>
bool is_small(const ConvRow& row, const uint8_t* source) {
  const ptrdiff_t bytes = 3 * row.source_pixel + 4 * row.steps;
  if (bytes < Ops::bytes) return false;  // a picture's, which is seldom that dark
  typename Ops::Vector any = Ops::splat(0);
  for (int64_t r = 0; r < row.rows; r++, source += row.source_row) {
    for (ptrdiff_t at = 0; at < bytes - Ops::bytes; at += Ops::bytes) any = Ops::either(any, Ops::load(source + at));
    any = Ops::either(any, Ops::load(source + bytes - Ops::bytes));
  }
  return !Ops::has_high_bit(any);
}

template <typename Ops>
struct ShortSums {
  using Vector = typename Ops::Vector;
  static constexpr int lanes = Ops::bytes / 4;

  // Adds a block's products to the sums of four pixels, in two vectors of lanes from `first` on. Inline, or the sums would be
  // in memory.
  template <int first>
  [[gnu::always_inline]] static void add(const GroupRow& group, const uint8_t* source, Vector (&sums)[4][2]) {
    const ShortBlock& block = group.small != nullptr && is_small<Ops>(*group.row, source) ? *group.small : *group.shorts;
    Reader reader{source, group.row->source_row, group.row->source_pixel, block.places, block.weights};
    add_together<first, 4>(sums, reader, block.groups[4]);
    add_together<first, 3>(sums, reader, block.groups[3]);
    add_together<first, 2>(sums, reader, block.groups[2]);
    add_together<first, 1>(sums, reader, block.groups[1]);
    add_widened<first>(sums, reader, block.groups[0]);
  }

 private:
  static_assert(kMaxTogether == 4 && kSmall == 127);

  struct Reader {
    const uint8_t* source;
    ptrdiff_t source_row, source_pixel;
    const int32_t* places;
    const int8_t* weights;

    const uint8_t* run() { return source + *places++ * source_row; }
  };

  static Vector four_bytes(const uint8_t* from) {
    int32_t bytes;
    std::memcpy(&bytes, from, 4);
    return Ops::splat(bytes);
  }

  template <int first, int steps>
  static void add_together(Vector (&sums)[4][2], Reader& reader, int32_t groups) {
    const Vector one = Ops::splat(0x00010001);
    const ptrdiff_t pixel = reader.source_pixel;
    for (; groups > 0; groups--, reader.weights += steps * 64) {
      const uint8_t *const run = reader.run(), *from[steps];
      for (int s = 0; s < steps; s++) from[s] = run + *reader.places++;
      const int8_t* w = reader.weights + 4 * first;
#pragma GCC unroll 4
      for (int p = 0; p < 4; p++) {
        Vector input = four_bytes(from[0] + p * pixel);
        Vector low = Ops::dot_bytes(input, Ops::load_aligned(w)),
               high = Ops::dot_bytes(input, Ops::load_aligned(w + Ops::bytes));
#pragma GCC unroll 4
        for (int s = 1; s < steps; s++) {
          input = four_bytes(from[s] + p * pixel);
          low = Ops::add16(low, Ops::dot_bytes(input, Ops::load_aligned(w + 64 * s)));
          high = Ops::add16(high, Ops::dot_bytes(input, Ops::load_aligned(w + 64 * s + Ops::bytes)));
        }
        Ops::accumulate(sums[p][0], Ops::dot(low, one));
        Ops::accumulate(sums[p][1], Ops::dot(high, one));
      }
    }
  }

  template <int first>
  static void add_widened(Vector (&sums)[4][2], Reader& reader, int32_t steps) {
    for (; steps > 0; steps--, reader.weights += 128) {
      const uint8_t* from = reader.run();
      from += *reader.places++;
#pragma GCC unroll 4
      for (int p = 0; p < 4; p++) {
        const Vector input = four_bytes(from + p * reader.source_pixel);
        const Vector even = Ops::low_bytes(input), odd = Ops::high_bytes(input);
#pragma GCC unroll 2
        for (int v = 0; v < 2; v++) {
          const int lane = first + v * lanes;
          const int8_t* w = reader.weights + 64 * (lane / 8) + 4 * (lane % 8);
          Ops::accumulate(sums[p][v],
                          Ops::add32(Ops::dot(even, Ops::load_aligned(w)), Ops::dot(odd, Ops::load_aligned(w + 32))));
        }
      }
    }
  }
};

}  // namespace
}  // namespace fastnst
