// Canonical prefix codes of bytes, as fastnst/format/huffman.py writes them.
#pragma once

#include <cstdint>

namespace fastnst {

constexpr int kLongestCode = 12;
constexpr uint64_t kCodeLengthBytes = 128;  // 256 lengths of 4 bits

// Decodes `count` bytes from the `size` bytes at `coded`: code lengths, then the codes, then zero bits to a whole number of
// bytes. Returns false if `coded` has any other content.
bool huffman_decode(const uint8_t* coded, uint64_t size, uint8_t* bytes, uint64_t count);

}  // namespace fastnst
