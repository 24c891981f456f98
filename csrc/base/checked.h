// Sizes computed from untrusted numbers: exact in 64 bits, or an exception.
#pragma once

#include <cstdint>
#include <stdexcept>

namespace fastnst {

inline uint64_t checked_multiply(uint64_t a, uint64_t b) {
  uint64_t product;
  if (__builtin_mul_overflow(a, b, &product)) throw std::overflow_error("a size does not fit in 64 bits");
  return product;
}

inline uint64_t checked_add(uint64_t a, uint64_t b) {
  uint64_t sum;
  if (__builtin_add_overflow(a, b, &sum)) throw std::overflow_error("a size does not fit in 64 bits");
  return sum;
}

inline int64_t round_up(int64_t value, int64_t step) { return (value + step - 1) / step * step; }

}  // namespace fastnst
