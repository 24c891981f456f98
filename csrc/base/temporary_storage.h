// Temporary storage: in memory, or in an unlinked file, which vanishes with the process.
#pragma once

#include <cstdint>
#include <string>

#include "base/buffer.h"

namespace fastnst {

class TemporaryStorage {
 public:
  // `folder`: where the file is made; without it the bytes stay in memory. Throws std::runtime_error if there can be no file.
  TemporaryStorage(uint64_t size, const std::string& folder);
  ~TemporaryStorage();
  TemporaryStorage(const TemporaryStorage&) = delete;
  TemporaryStorage& operator=(const TemporaryStorage&) = delete;

  // Within the size. Throw std::runtime_error where the disk is full or fails.
  void write(uint64_t offset, const uint8_t* data, uint64_t count);
  void read(uint64_t offset, uint8_t* data, uint64_t count) const;

 private:
  Buffer memory_;
  std::string folder_;
  int file_ = -1;
};

}  // namespace fastnst
