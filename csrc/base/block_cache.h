// A cache of large blocks of memory: the block of a result that is gone serves the next one of the same size.
#pragma once

#include <cstddef>

namespace fastnst {

// `size` uninitialised bytes: a cached block of this size if there is one, otherwise a new one.
//
// Allocators give blocks as large as these back to the system at once, and the system clears every page before it hands it out
// again: for a map of 128 MB that takes longer than an operation that fills it.
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

// Gives all idle blocks back to the system; returns how many bytes that were.
size_t release_cache();

}  // namespace fastnst
