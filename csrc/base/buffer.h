// Memory for feature maps: aligned, zeroed, and freed on every path.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <new>
#include <utility>

#include "base/pages.h"

namespace fastnst {

// `size` bytes at a 64-byte boundary, zeroed, so that no result depends on its previous content.
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

  // Makes this at least `size` bytes long. If it was shorter, its content is lost.
  void reserve(size_t size) {
    if (size_ < size) {
      *this = Buffer();  // free the old memory before allocating the new
      *this = Buffer(size);
    }
  }

 private:
  static constexpr size_t kAlignment = 64;
  // From this size on memory is mapped, so that it returns to the system when freed; malloc would keep it for smaller blocks.
  static constexpr size_t kMapped = size_t(4) << 20;
  uint8_t* data_ = nullptr;
  size_t size_ = 0;
};

}  // namespace fastnst
