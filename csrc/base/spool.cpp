#include "base/spool.h"

#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <stdexcept>

namespace fastnst {
namespace {

[[noreturn]] void fail(const std::string& folder) {
  throw std::runtime_error("a temporary file in " + folder + ": " + std::strerror(errno));
}

}  // namespace

Spool::Spool(uint64_t size, const std::string& folder) : folder_(folder) {
  if (folder.empty()) {
    memory_ = Buffer(size);
    return;
  }
  std::string name = folder + "/.fastnst-XXXXXX";
  file_ = mkstemp(name.data());
  if (file_ < 0) fail(folder);
  unlink(name.c_str());
}

Spool::~Spool() {
  if (file_ >= 0) close(file_);
}

void Spool::write(uint64_t offset, const uint8_t* data, uint64_t count) {
  if (file_ < 0) {
    std::memcpy(memory_.data() + offset, data, count);
    return;
  }
  while (count > 0) {
    const ssize_t done = pwrite(file_, data, count, off_t(offset));
    if (done < 0 && errno == EINTR) continue;
    if (done <= 0) fail(folder_);
    offset += uint64_t(done), data += done, count -= uint64_t(done);
  }
}

void Spool::read(uint64_t offset, uint8_t* data, uint64_t count) const {
  if (file_ < 0) {
    std::memcpy(data, memory_.data() + offset, count);
    return;
  }
  while (count > 0) {
    const ssize_t done = pread(file_, data, count, off_t(offset));
    if (done < 0 && errno == EINTR) continue;
    if (done <= 0) fail(folder_);
    offset += uint64_t(done), data += done, count -= uint64_t(done);
  }
}

}  // namespace fastnst
