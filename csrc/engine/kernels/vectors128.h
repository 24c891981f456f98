// What the paths of 128 bits share that multiply 16 bits: WebAssembly and SSSE3. The including file gives `Ops`, their
// instructions:
//   Vector                     128 bits
//   load, store, splat         from and to any address; the same 32 bits in every lane
//   dot, add32                 the sums of two products of 16 bits, and of 32 bits
//   rounded                    float(sum) * multiplier, to the nearest integer
//   narrow, narrow_bytes       two vectors as one of s16 or u8, saturated
//   widen_low, widen_high      eight bytes as s16
//   scaled                     s16 times a scale, relative to 32768, rounded
//   narrow_signed              as s8, saturated, and 128 more
#pragma once

#include "engine/kernels/pairs.h"

namespace fastnst {
namespace {

// One pixel's sums, as the numbers that the row wants.
template <typename Ops>
inline void write_sums(const GroupRow& group, const typename Ops::Vector (&sums)[4], uint8_t* to) {
  const ConvRow& row = *group.row;
  if (row.writes == Numbers::sums) {
    for (int v = 0; v < 4; v++) Ops::store(to + 16 * v, sums[v]);
    return;
  }
  const bool wide = row.writes == Numbers::words;
  typename Ops::Vector whole[4];
  for (int v = 0; v < 4; v++) {
    whole[v] = Ops::rounded(sums[v], group.multiplier + 4 * v);
    if (!wide) whole[v] = Ops::add32(whole[v], Ops::splat(row.zero));
  }
  const auto low = Ops::narrow(whole[0], whole[1]), high = Ops::narrow(whole[2], whole[3]);
  if (wide)
    Ops::store(to, low), Ops::store(to + 16, high);
  else
    Ops::store(to, Ops::narrow_bytes(low, high));
}

template <typename Ops>
struct Lanes128 {
  static constexpr int tile = 2;
  struct Vector {
    typename Ops::Vector parts[4];
  };
  using Sums = Vector;
  static Sums zero() { return {}; }
  static Vector load(const void* from) {
    Vector vector;
    for (int v = 0; v < 4; v++) vector.parts[v] = Ops::load(static_cast<const uint8_t*>(from) + 16 * v);
    return vector;
  }
  static void add(Sums& sums, uint32_t factor, const Vector& vector) {
    const typename Ops::Vector pair = Ops::splat(int32_t(factor));
    for (int v = 0; v < 4; v++) sums.parts[v] = Ops::add32(sums.parts[v], Ops::dot(pair, vector.parts[v]));
  }
  static void store(int32_t* to, const Sums& sums) {
    for (int v = 0; v < 4; v++) Ops::store(to + 4 * v, sums.parts[v]);
  }
};

template <typename Ops>
struct Windows128 {
  static constexpr int channels = 16;
  using Vector [[gnu::vector_size(16)]] = int16_t;
  static void load(const uint8_t* from, Vector& low, Vector& high) {
    const typename Ops::Vector bytes = Ops::load(from);
    low = (Vector)Ops::widen_low(bytes), high = (Vector)Ops::widen_high(bytes);
  }
  template <bool centre>
  static void store(uint8_t* to, Vector low, Vector high, int16_t scale) {
    using Own = typename Ops::Vector;
    const Own a = Ops::scaled((Own)low, scale), b = Ops::scaled((Own)high, scale);
    Ops::store(to, centre ? Ops::narrow_bytes(a, b) : Ops::narrow_signed(a, b));
  }
};

}  // namespace
}  // namespace fastnst
