#include "base/temporary_storage.h"

#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <system_error>

namespace fastnst {
namespace {

#if defined(__wasm__)
constexpr bool kHasFiles = false;  // a web page has only memory
#else
constexpr bool kHasFiles = true;
#endif

[[noreturn]] void fail(const std::string& folder) {
  throw std::system_error(errno, std::generic_category(), "a temporary file in " + folder);
}

// Transfers all `count` bytes by pread or pwrite, which may transfer fewer at a time.
template <typename Call, typename Byte>
void transfer(Call call, int file, Byte* data, uint64_t count, uint64_t offset, const std::string& folder) {
  while (count > 0) {
    const ssize_t done = call(file, data, count, off_t(offset));
    if (done < 0 && errno == EINTR) continue;
    if (done <= 0) fail(folder);
    offset += uint64_t(done), data += done, count -= uint64_t(done);
  }
}

}  // namespace

TemporaryStorage::TemporaryStorage(uint64_t size, const std::string& folder) : folder_(folder) {
  if (folder.empty() || !kHasFiles) {
    memory_ = Buffer(size);
    return;
  }
  std::string name = folder + "/.fastnst-XXXXXX";  // mkstemp fills the last six in
  file_ = mkstemp(name.data());
  if (file_ < 0) fail(folder);
  unlink(name.c_str());
}

TemporaryStorage::~TemporaryStorage() {
  if (kHasFiles && file_ >= 0) close(file_);
}

void TemporaryStorage::write(uint64_t offset, const uint8_t* data, uint64_t count) {
  if (!kHasFiles || file_ < 0) {
    std::memcpy(memory_.data() + offset, data, count);
    return;
  }
  transfer(pwrite, file_, data, count, offset, folder_);
}

void TemporaryStorage::read(uint64_t offset, uint8_t* data, uint64_t count) const {
  if (!kHasFiles || file_ < 0) {
    std::memcpy(data, memory_.data() + offset, count);
    return;
  }
  transfer(pread, file_, data, count, offset, folder_);
}

}  // namespace fastnst
