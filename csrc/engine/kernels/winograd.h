// Winograd's form before and after its products: windows of bytes into positions, sums of positions into outputs. An including
// path gives `Windows`: words of 16 bits, half a vector of bytes each, and the multiplication that rounds them.
#pragma once

#include <type_traits>

#include "engine/kernels/wide.h"

namespace fastnst {
namespace {

// Plain C++, for paths without an instruction of their own.
struct PlainWindows {
#if defined(__wasm__)
  static constexpr int channels = 4;  // which has no vectors here: each lane is so much code
#else
  static constexpr int channels = kLanes;
#endif
  using Half [[gnu::vector_size(channels / 2)]] = uint8_t;
  using Vector [[gnu::vector_size(channels)]] = int16_t;
  static void load(const uint8_t* from, Vector& low, Vector& high) {
    low = __builtin_convertvector(fastnst::load<Half>(from), Vector);
    high = __builtin_convertvector(fastnst::load<Half>(from + channels / 2), Vector);
  }
  // Times a scale, relative to 32768, rounded; plus 128 unless `centre`, as bytes.
  template <bool centre>
  [[gnu::noinline]] static void store(uint8_t* to, const Vector& low, const Vector& high, int16_t scale) {
    for (int c = 0; c < channels; c++) {
      const int32_t word = c < channels / 2 ? low[c] : high[c - channels / 2];
      to[c] = uint8_t(std::clamp(((word * scale + 16384) >> 15) + (centre ? 0 : 128), 0, 255));
    }
  }
};

// One column of windows, crossed: what its rows become, in two halves.
template <typename Vector, bool upsample>
struct Column {
  static constexpr int side = upsample ? 3 : 4;
  Vector half[2][side];

  template <typename Windows>
  void load(const WindowRow& row, int64_t at) {
    Vector raw[side][2];
#pragma GCC unroll 4
    for (int r = 0; r < side; r++) Windows::load(row.rows[r] + at, raw[r][0], raw[r][1]);
#pragma GCC unroll 2
    for (int h = 0; h < 2; h++) {
      if constexpr (upsample) {
        half[h][0] = raw[0][h] - raw[1][h], half[h][1] = raw[1][h], half[h][2] = raw[1][h] - raw[2][h];
      } else {
        half[h][0] = raw[0][h] - raw[2][h], half[h][1] = raw[1][h] + raw[2][h];
        half[h][2] = raw[2][h] - raw[1][h], half[h][3] = raw[1][h] - raw[3][h];
      }
    }
  }
};

// All tiles, for as many channels as a vector of bytes has. Windows share their first columns with the window before.
template <typename Windows, bool upsample>
void window_channels(const WindowRow& row, int64_t first) {
  using Vector = typename Windows::Vector;
  constexpr int kSide = Column<Vector, upsample>::side;
  Column<Vector, upsample> a, b, c, d;
  const int64_t pixel = row.channels;
  a.template load<Windows>(row, first), b.template load<Windows>(row, first + pixel);
  int64_t from = first + 2 * pixel;
  uint8_t* to = row.target + first;
  for (int64_t t = 0; t < row.tiles; t++, to += pixel) {
    c.template load<Windows>(row, from), from += pixel;
    if constexpr (!upsample) d.template load<Windows>(row, from), from += pixel;
#pragma GCC unroll 4
    for (int r = 0; r < kSide; r++) {
      const auto put = [&](auto centre, int column, auto&& crossed) {
        const int position = r * kSide + column;
        Windows::template store<decltype(centre)::value>(to + position * row.position, crossed(0), crossed(1),
                                                         row.scales[position]);
      };
      const auto side = [&](int column, auto&& crossed) { put(std::false_type(), column, crossed); };
      const auto middle = [&](auto&& crossed) {
        if (r == 1)
          put(std::true_type(), 1, crossed);
        else
          put(std::false_type(), 1, crossed);
      };
      if constexpr (upsample) {
        side(0, [&](int h) { return a.half[h][r] - b.half[h][r]; });
        middle([&](int h) { return b.half[h][r]; });
        side(2, [&](int h) { return b.half[h][r] - c.half[h][r]; });
      } else {
        side(0, [&](int h) { return a.half[h][r] - c.half[h][r]; });
        middle([&](int h) { return b.half[h][r] + c.half[h][r]; });
        side(2, [&](int h) { return c.half[h][r] - b.half[h][r]; });
        side(3, [&](int h) { return b.half[h][r] - d.half[h][r]; });
      }
    }
    if constexpr (upsample)
      a = b, b = c;
    else
      a = c, b = d;
  }
}

// The last vector of channels is moved back over some already done; one wider than a pixel writes over the next tile, which is
// then written itself.
template <typename Windows>
void window_row(const WindowRow& row) {
  for (int64_t first = 0; first < row.channels; first += Windows::channels) {
    const int64_t at = std::max<int64_t>(std::min<int64_t>(first, row.channels - Windows::channels), 0);
    if (row.upsample)
      window_channels<Windows, true>(row, at);
    else
      window_channels<Windows, false>(row, at);
  }
}

// The outputs of one vector of one tile, row by row, before rounding.
template <bool upsample>
inline void tile_outputs(const OutputRow& row, const int32_t* sums, const float* multiplier, Floats (&out)[2][2]) {
  constexpr int kSide = upsample ? 3 : 4;
  Floats along[2][kSide];
#pragma GCC unroll 4
  for (int column = 0; column < kSide; column++) {
    const auto product = [&](int r) {
      const int position = r * kSide + column;
      return __builtin_convertvector(load<Ints>(sums + position * row.position), Floats) *
             load<Floats>(multiplier + position * row.lanes);
    };
    if constexpr (upsample) {
      along[0][column] = product(0) + product(1), along[1][column] = product(1) - product(2);
    } else {
      along[0][column] = (product(0) + product(1)) + product(2), along[1][column] = (product(1) - product(2)) - product(3);
    }
  }
#pragma GCC unroll 2
  for (int i = 0; i < 2; i++) {
    if constexpr (upsample) {
      out[i][0] = along[i][0] + along[i][1], out[i][1] = along[i][1] - along[i][2];
    } else {
      out[i][0] = (along[i][0] + along[i][1]) + along[i][2], out[i][1] = (along[i][1] - along[i][2]) - along[i][3];
    }
  }
}

// `vectors` outputs of four, or of the largest of them, as bytes; `put` stores those of one pixel.
template <bool upsample, int vectors, typename Put>
inline void output_tile(const OutputRow& row, int64_t tile, int lane, Put&& put) {
  Floats out[vectors][2][2], one[vectors];
#pragma GCC unroll 4
  for (int v = 0; v < vectors; v++)
    tile_outputs<upsample>(row, row.sums + tile * row.lanes + lane + v * kWidth, row.multiplier + lane + v * kWidth, out[v]);
  if (row.pool) {  // the largest is so before rounding as well
#pragma GCC unroll 4
    for (int v = 0; v < vectors; v++) {
      one[v] = out[v][0][0];
      if (row.columns == 2) one[v] = larger(one[v], out[v][0][1]);
      if (row.rows == 2) one[v] = larger(one[v], out[v][1][0]);
      if (row.rows == 2 && row.columns == 2) one[v] = larger(one[v], out[v][1][1]);
    }
    put(row.target + tile * row.target_pixel + lane, one);
    return;
  }
#pragma GCC unroll 4
  for (int i = 0; i < 4; i++) {
#pragma GCC unroll 4
    for (int v = 0; v < vectors; v++) one[v] = out[v][i / 2][i % 2];
    put(row.target + i / 2 * row.target_row + (2 * tile + i % 2) * row.target_pixel + lane, one);
  }
}

template <typename Windows, bool upsample>
void output_tiles(const OutputRow& row) {
  if constexpr (requires { Windows::pack; }) {  // one store for all lanes of a large group
    constexpr int kAll = 4;
    if (row.lanes == kAll * kWidth) {
      const auto put = [&](uint8_t* to, const Floats(&values)[kAll]) { Windows::pack(to, values, row.zero); };
      for (int64_t t = 0; t < row.tiles; t++) output_tile<upsample, kAll>(row, t, 0, put);
      return;
    }
  }
  const float low = float(-row.zero), high = float(255 - row.zero);
  const auto put = [&](uint8_t* to, const Floats(&value)[1]) { store_bytes(to, rounded(value[0], low, high) + row.zero); };
  for (int64_t t = 0; t < row.tiles; t++)
    for (int lane = 0; lane < row.lanes; lane += kWidth) output_tile<upsample, 1>(row, t, lane, put);
}

template <typename Windows>
void output_row(const OutputRow& row) {
  if (row.upsample)
    output_tiles<Windows, true>(row);
  else
    output_tiles<Windows, false>(row);
}

}  // namespace
}  // namespace fastnst
