#include "base/huffman.h"

#include <array>

namespace fastnst {
namespace {

constexpr int kSymbols = 256;
constexpr uint32_t kPrefixes = 1u << kLongestCode;

struct Entry {
  uint8_t symbol, length;
};

using Table = std::array<Entry, kPrefixes>;  // by the next kLongestCode bits

// Codes of one length are consecutive numbers in the order of their symbols, and shorter codes come first. False unless every
// sequence of bits is a sequence of codes.
bool fill_table(const uint8_t* lengths, Table& table) {
  uint32_t next = 0;
  for (int length = 1; length <= kLongestCode; length++)
    for (int symbol = 0; symbol < kSymbols; symbol++) {
      if ((lengths[symbol / 2] >> (symbol % 2 * 4) & 15) != length) continue;
      const uint32_t span = 1u << (kLongestCode - length);
      if (next + span > kPrefixes) return false;
      for (uint32_t i = 0; i < span; i++) table[next + i] = {uint8_t(symbol), uint8_t(length)};
      next += span;
    }
  return next == kPrefixes;
}

constexpr int kUsual = 11;  // bits, which mostly hold two symbols; a table of this size fits into the first-level cache

// The one or two symbols whose codes the next kUsual bits begin with, or none if the first code is longer.
struct Pair {
  uint8_t first, second, length, count;
};

using Pairs = std::array<Pair, 1u << kUsual>;

void fill_pairs(const Table& table, Pairs& pairs) {
  for (uint32_t bits = 0; bits < pairs.size(); bits++) {
    const uint32_t prefix = bits << (kLongestCode - kUsual);
    const Entry first = table[prefix], second = table[(prefix << first.length) % kPrefixes];
    const int both = first.length + second.length;
    if (both <= kUsual)
      pairs[bits] = {first.symbol, second.symbol, uint8_t(both), 2};
    else
      pairs[bits] = {first.symbol, 0, first.length, uint8_t(first.length <= kUsual)};
  }
}

// The next eight bytes as 64 bits, the first bit at the top.
uint64_t first_bits(const uint8_t* bytes) {
  uint64_t bits = 0;
  for (int i = 0; i < 8; i++) bits |= uint64_t(bytes[i]) << (56 - 8 * i);
  return bits;
}

}  // namespace

bool huffman_decode(const uint8_t* coded, uint64_t size, uint8_t* bytes, uint64_t count) {
  Table table;
  if (size < kCodeLengthBytes || !fill_table(coded, table)) return false;
  const uint8_t *next = coded + kCodeLengthBytes, *const end = coded + size;
  uint64_t window = 0;  // the bits that come next, at the top
  int held = 0;
  Pairs pairs;
  fill_pairs(table, pairs);
  for (uint64_t i = 0; i < count;) {
    if (held < kLongestCode) {
      if (end - next >= 8) {
        window |= first_bits(next) >> held;
        next += (63 - held) / 8, held |= 56;
      } else {
        for (; held <= 56 && next < end; held += 8) window |= uint64_t(*next++) << (56 - held);
      }
    }
    const Pair pair = pairs[window >> (64 - kUsual)];
    if (pair.count > 0 && pair.length <= held && count - i >= 2) {
      bytes[i] = pair.first, bytes[i + 1] = pair.second;  // the second is overwritten if there is only one
      window <<= pair.length, held -= pair.length, i += pair.count;
      continue;
    }
    const Entry entry = table[window >> (64 - kLongestCode)];
    if (entry.length > held) return false;
    window <<= entry.length, held -= entry.length;
    bytes[i++] = entry.symbol;
  }
  return next == end && held < 8 && window == 0;
}

}  // namespace fastnst
