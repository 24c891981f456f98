// A cache of large blocks of memory: a freed block is reused for the next result of the same size.
#pragma once

#include <cstddef>

namespace fastnst {

// `size` uninitialised bytes: a cached block of this size if there is one, otherwise a new one.
//
// Allocators return such large blocks to the system at once, and the system clears every page before it hands it out again:
// for a map of 128 MB that takes longer than an operation that fills it.
class CachedBlock {
 public:
  explicit CachedBlock(size_t size);
  ~CachedBlock();
  CachedBlock(const CachedBlock&) = delete;
  CachedBlock& operator=(const CachedBlock&) = delete;

  void* data() const { return data_; }
  size_t size() const { return size_; }

 private:
  void* data_;
  size_t size_;
};

// Returns all idle blocks to the system; the result is their number of bytes.
size_t release_cache();

}  // namespace fastnst
