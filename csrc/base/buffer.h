// Memory for feature maps: aligned, zeroed, and given back on every path.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <new>
#include <utility>

#include "base/pages.h"

namespace fastnst {

// `size` bytes at a 64-byte boundary, zeroed, so that nothing ever depends on what the memory held before.
class Buffer {
 public:
  Buffer() = default;
  explicit Buffer(size_t size) : size_(size) {
    if (size == 0) return;
    const size_t rounded = (size + kAlignment - 1) / kAlignment * kAlignment;
    if (rounded < size) throw std::bad_alloc();
    const bool mapped = size >= kMapped;
    data_ = static_cast<uint8_t*>(mapped ? map_zeros(size) : std::aligned_alloc(kAlignment, rounded));
    if (data_ == nullptr) throw std::bad_alloc();
    if (!mapped) std::memset(data_, 0, rounded);
  }
  Buffer(Buffer&& other) noexcept : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}
  Buffer& operator=(Buffer&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    return *this;
  }
  ~Buffer() {
    if (size_ >= kMapped)
      unmap(data_, size_);
    else
      std::free(data_);
  }

  uint8_t* data() { return data_; }
  const uint8_t* data() const { return data_; }
  size_t size() const { return size_; }

  // At least `size` bytes, the old content lost if it had fewer.
  void reserve(size_t size) {
    if (size_ < size) {
      *this = Buffer();  // give the old memory back before taking the new
      *this = Buffer(size);
    }
  }

 private:
  static constexpr size_t kAlignment = 64;
  // From this size on memory is the system's, which has it back at once: malloc would keep what is freed for smaller things.
  static constexpr size_t kMapped = size_t(4) << 20;
  uint8_t* data_ = nullptr;
  size_t size_ = 0;
};

}  // namespace fastnst
