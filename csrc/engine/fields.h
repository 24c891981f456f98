// Fields of a model file, taken one after the other and distrusted.
#pragma once

#include <cstdint>
#include <cstring>
#include <stdexcept>
#include <string>
#include <vector>

#include "base/checked.h"

namespace fastnst {

// A file that is broken, of an unknown version, or no model at all. The message is one line.
class ModelError : public std::invalid_argument {
 public:
  using std::invalid_argument::invalid_argument;
};

[[noreturn]] inline void refuse(const std::string& why) { throw ModelError(why); }

// Takes numbers off the front of the file; refuses to go beyond its end.
class Cursor {
 public:
  Cursor(const uint8_t* data, uint64_t size) : data_(data), size_(size) {}

  template <typename T>
  T number() {
    T value;
    std::memcpy(&value, take(sizeof value), sizeof value);
    return value;
  }

  template <typename T>
  std::vector<T> array(uint64_t count) {
    const uint64_t bytes = checked_multiply(count, sizeof(T));
    const uint8_t* from = take(bytes);  // before anything is allocated
    std::vector<T> values(count);
    std::memcpy(values.data(), from, bytes);
    skip_padding(bytes);
    return values;
  }

  // `count` weights out of `coded` bytes of Huffman's code, or, if that is 0, as they are.
  std::vector<int8_t> weights(uint64_t count, uint64_t coded, const std::string& where);

  std::string text(uint64_t bytes);

  uint64_t left() const { return size_ - at_; }

 private:
  const uint8_t* take(uint64_t bytes);
  void skip_padding(uint64_t bytes);

  const uint8_t* data_;
  uint64_t size_, at_ = 0;
};

// Whether it is a positive number that scales of picture features may be; false for NaN.
bool is_scale(float value);

// Refuses a convolution whose accumulators some picture could overflow, or what becomes of them. For every bias there are
// equally many weights.
void prove_safe(const std::vector<int8_t>& weights, const std::vector<int32_t>& bias, const std::vector<float>& multiplier,
                const std::string& where);

}  // namespace fastnst
