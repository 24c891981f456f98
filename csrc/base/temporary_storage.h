// Temporary storage: in memory, or in an unlinked file, which vanishes with the process.
#pragma once

#include <cstdint>
#include <string>

#include "base/buffer.h"

namespace fastnst {

class TemporaryStorage {
 public:
  // `folder`: where the file is made; if empty, the bytes stay in memory. Throws std::runtime_error if no file can be made.
  TemporaryStorage(uint64_t size, const std::string& folder);
  ~TemporaryStorage();
  TemporaryStorage(const TemporaryStorage&) = delete;
  TemporaryStorage& operator=(const TemporaryStorage&) = delete;

  // Both stay within the size. They throw std::runtime_error if the disk is full or fails.
  void write(uint64_t offset, const uint8_t* data, uint64_t count);
  void read(uint64_t offset, uint8_t* data, uint64_t count) const;

 private:
  Buffer memory_;
  std::string folder_;
  int file_ = -1;
};

}  // namespace fastnst
