// What the engine asks of an instruction set. Every set computes the same bytes: see the arithmetic in
// fastnst/format/modelfile.py.
#pragma once

#include <cstddef>
#include <cstdint>

namespace fastnst {

// Output channels are computed in blocks of 16 lanes, blocks in groups of 4, 2 or 1 that share a register tile.
constexpr int kLanes = 16;

// The size of the next group when `blocks` are left.
constexpr int group_size(int blocks) { return blocks >= 4 ? 4 : blocks >= 2 ? 2 : 1; }

// What becomes of an accumulator. Words: s16, clamp(round(float(acc) * multiplier), -32768, 32767), without a zero point. Sums:
// the accumulator itself, s32.
enum class Numbers : uint8_t { bytes, words, sums };

// How many steps of 4 input bytes may be summed in 16 bits before their sum is widened.
constexpr int kMaxTogether = 4;

// Inputs are mostly far below 255. Where all of a tile's are at most this, more steps may be summed in 16 bits.
constexpr int kSmall = 127;

// The weights of one block of 16 outputs for sets that multiply bytes in pairs, whose sums have 16 bits; see short_sums.h.
struct ShortBlock {
  // How many groups there are of so many steps; [0]: of single steps whose bytes are widened before they are multiplied.
  int32_t groups[kMaxTogether + 1];
  // Group by group, the largest first and [0] last: its run, and where in that each step begins.
  const int32_t* places;
  // In the same order, of each step [16 lanes][4 bytes]; of a widened one s16 [2 x 8 lanes][bytes 0 and 2, then 1 and 3].
  const int8_t* weights;
};

// A convolution along one row: for each of `pixels` outputs, `rows` runs of `steps` times 4 input bytes, against weights
// packed [group][row][step][block of the group][16 lanes][4 bytes], or as ShortBlocks.
struct ConvRow {
  const uint8_t* source;   // first byte of the first pixel's first run
  ptrdiff_t source_pixel;  // bytes from one output pixel's input to the next one's
  ptrdiff_t source_row;    // bytes from one run to the next
  int64_t rows, steps;
  const int8_t* weights;     // or
  const ShortBlock* shorts;  // [blocks], for sets that have short_sums
  const ShortBlock* small;   // [blocks], the same for inputs up to kSmall; may be null
  const int32_t* bias;       // [blocks * 16]
  const float* multiplier;   // [blocks * 16]
  int32_t zero;
  Numbers writes;
  int blocks;
  uint8_t* target;  // 16 numbers per block are written for every pixel, in ascending order
  ptrdiff_t target_pixel;
  int64_t pixels;  // at least 1
};

// Input bytes that kernels may read beyond the last pixel it was asked for, in pixels.
constexpr int kOverread = 24;

// Pixels two by two: for each pair and channel, the byte of the first pixel in the low 16 bits, of the second in the high.
struct PairPanel {
  const uint32_t* pairs;  // [count][channels]
  int64_t count;          // at most kMaxPairs
  int64_t channels;       // a multiple of 16
};

constexpr int64_t kMaxPairs = 16384;  // 2 * 255 * 255 * kMaxPairs < 2^31

// A 1x1 convolution of `pixels` pixels with weights of 16 bits: out = clamp(round(float(sum of w * q) * multiplier + offset),
// 0, 255), product and sum rounded to float32. The caller proves that no sum leaves 32 bits.
struct MixRow {
  const uint8_t* source;     // [pixels][channels]
  const int16_t* weights;    // [block of 16 outputs][pair of inputs][16 outputs][2 inputs]
  const float* multiplier;   // [channels]
  const float* offset;       // [channels]
  uint8_t* target;           // [pixels][channels]
  int64_t pixels, channels;  // channels: a multiple of 16, at most kMaxMixed
};

constexpr int64_t kMaxMixed = 512;

// A 3x3 convolution of every channel by itself along one row, to s16 as by a wide ConvRow.
struct DepthwiseRow {
  const uint8_t* source;     // the upper left pixel of the first window; pixels lie side by side
  ptrdiff_t source_row;      // bytes
  const int8_t* weights;     // [block of 16 channels][3 columns][16 channels][3 rows and a zero]
  const int32_t* bias;       // [channels]
  const float* multiplier;   // [channels]
  int16_t* target;           // [pixels][channels]
  int64_t pixels, channels;  // channels: a multiple of 16
};

// Windows, side by side, into positions of Winograd's form; see fastnst/format/winograd.py.
struct WindowRow {
  bool upsample;
  const uint8_t* rows[4];  // the first window's pixels, three rows with upsample
  int64_t channels;        // a multiple of 16, and the bytes of a pixel
  const int16_t* scales;   // [positions]
  uint8_t* target;         // [positions][tiles][channels]; up to 63 bytes are written beyond the last tile of a position
  ptrdiff_t position;      // bytes from one position to the next
  int64_t tiles;
};

// Positions into outputs: two rows of two for every tile, or the largest of the first `rows` x `columns` of them.
struct OutputRow {
  bool upsample, pool;
  int rows, columns;        // 1 or 2 each
  const int32_t* sums;      // [positions][tiles][lanes]
  ptrdiff_t position;       // numbers from one position to the next
  const float* multiplier;  // [positions][lanes]
  int lanes;                // a multiple of 16
  int32_t zero;
  uint8_t* target;
  ptrdiff_t target_pixel, target_row;
  int64_t tiles;
};

// A 3x3 convolution to three channels along one row, into a picture: lanes are inputs, so that none is left without an output.
struct PictureRow {
  const uint8_t* source;    // the upper left pixel of the first window; pixels lie side by side
  ptrdiff_t source_row;     // bytes
  int64_t channels;         // one of which picture_channels() holds, and the bytes of a pixel
  const int8_t* weights;    // [9 taps][64 input channels, or all of them over and over][3 outputs][64]
  const int32_t* bias;      // [3]
  const float* multiplier;  // [3]
  int32_t zero;
  uint8_t* target;  // [pixels][3]
  int64_t pixels;
};

constexpr bool picture_channels(int64_t channels) { return channels == 16 || channels == 32 || channels % 64 == 0; }

// What an affine node does to one row; see fastnst/format/graphfile.py. With t = source * slope + offset, two float32
// operations, and t = max(t, t * negative), a third one:
struct AffineRow {
  const int16_t* source;     // [pixels][channels]
  const float* slope;        // [channels]
  const float* offset;       // [channels]
  float negative;            // 0..1
  int64_t pixels, channels;  // channels: a multiple of 16
  // narrow_row: clamp(round(t) + zero, 0, 255), to `channels` bytes every `target_pixel` bytes.
  int32_t zero;
  uint8_t* target;
  ptrdiff_t target_pixel;
  // wide_row: clamp(round(clamp(t, -65536, 65536)) + addend, -32768, 32767) to [pixels][channels]; without `addend`, 0.
  const int16_t* addend;
  int16_t* wide_target;
};

// A linear map of colours in units of 2^-kColorBits; see palette.h.
constexpr int kColorBits = 13;
struct ColorMap {
  int32_t matrix[3][3], offset[3];
};

// How much of each pixel belongs to each part, 0..256.
struct ColorWeights {
  const uint16_t* values;  // [parts][stride]
  int64_t stride;
  size_t parts;
};
constexpr int64_t kColorPlane = 256;  // 2^15 * 255 * 256 < 2^31
constexpr size_t kColorSums = 10;

// What multiplies bytes, or pairs of 16 bits.
struct ProductKernels {
  void (*conv_row)(const ConvRow&);
  // Adds to products[channels][channels] the sums over pixels of the products of two channels, where the second one's block of
  // 16 is that of the first or a later one; what is written elsewhere means nothing.
  void (*add_products)(const PairPanel& panel, uint64_t* products);
  void (*mix_row)(const MixRow&);
  void (*depthwise_row)(const DepthwiseRow&);
  // Where it pays; elsewhere null, and five pixels are a block of conv_row.
  void (*picture_row)(const PictureRow&);
  // Whether conv_row takes weights as ShortBlocks.
  bool short_sums;
};

// Everything else. Sets of which one has all instructions of the other can share it.
struct LoopKernels {
  // out[i] = the largest of a, b at 2i and 2i + 1 pixels, for `pixels` outputs of `channels` bytes, a multiple of 16.
  void (*pool_row)(const uint8_t* a, const uint8_t* b, uint8_t* out, int64_t pixels, int64_t channels);
  // out = clamp(round(slope * q + offset), 0, 255) per channel, both operations rounded to float32.
  void (*affine_row)(const uint8_t* q, const float* slope, const float* offset, uint8_t* out, int64_t pixels, int64_t channels);
  // Adds q and q squared of `pixels` pixels, `stride` bytes apart, to the sums of one block of 16 channels.
  void (*sum_row)(const uint8_t* q, int64_t pixels, int64_t stride, uint64_t* sums, uint64_t* squares);
  // Adds the s16 of `pixels` pixels, `stride` numbers apart, and their squares to the sums of one block of 16 channels.
  void (*sum_wide_row)(const int16_t* q, int64_t pixels, int64_t stride, int64_t* sums, uint64_t* squares);
  void (*narrow_row)(const AffineRow&);
  void (*wide_row)(const AffineRow&);
  void (*window_row)(const WindowRow&);
  void (*output_row)(const OutputRow&);
  // Adds the sums of `pixels` colours and of their products to r, g, b, rr, rg, rb, gg, gb, bb.
  void (*color_sums)(const uint8_t* rgb, int64_t pixels, uint64_t* sums);
  // The same sums and how many pixels they are of, and after them those of the pixels times their weights in each of `parts`:
  // to sums[1 + parts][kColorSums], where the last one is that of the weights. Of at most kColorPlane pixels.
  void (*weigh_colors)(const uint8_t* rgb, int64_t pixels, const ColorWeights& weights, uint64_t* sums);
  // Maps `pixels` colours in place.
  void (*map_colors)(const ColorMap& map, uint8_t* rgb, int64_t pixels);
  // Makes of at most kColorPlane colours, in place, (sum of weight * mapped + 128) >> 8 over the maps of all parts.
  void (*blend_colors)(const ColorMap* maps, const ColorWeights& weights, uint8_t* rgb, int64_t pixels);
};

struct Kernels : ProductKernels, LoopKernels {};

// Those of the instruction set in use. Throws as instruction_set() of table.h does.
const Kernels& kernels();

// What sets of x86 alone have. Programs for other processors are compiled without all that only serves it.
#if defined(__x86_64__)
inline bool has_short_sums() { return kernels().short_sums; }
inline bool has_picture_rows() { return kernels().picture_row != nullptr; }
#else
constexpr bool has_short_sums() { return false; }
constexpr bool has_picture_rows() { return false; }
#endif

}  // namespace fastnst
