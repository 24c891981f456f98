// Memory of large results, kept when they are gone for those to come.
#pragma once

#include <cstddef>

namespace fastnst {

// `size` bytes whose content means nothing, from an earlier block of the same size where one is idle.
//
// Allocators give blocks as large as these back to the system at once, and the system clears every page before it hands it out
// again: for a map of 128 MB that takes longer than an operation that fills it.
class KeptBlock {
 public:
  explicit KeptBlock(size_t size);
  ~KeptBlock();
  KeptBlock(const KeptBlock&) = delete;
  KeptBlock& operator=(const KeptBlock&) = delete;

  void* data() const { return data_; }
  size_t size() const { return size_; }

 private:
  void* data_;
  size_t size_;
};

// Gives all idle blocks back to the system; returns how many bytes that were.
size_t release_kept();

}  // namespace fastnst
