// libFuzzer's target for the reader of models and the validation of graphs. The length and the checksum are put right first:
// without them no mutation would come any farther.
#include <cstring>

#include "base/sha256.h"
#include "engines.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  constexpr size_t kDigest = 32, kLength = 8;
  if (size < kLength + 8) return 0;
  std::vector<uint8_t> file(data, data + size);
  file.resize(size + kDigest);
  const uint64_t length = file.size();
  std::memcpy(&file[kLength], &length, sizeof length);
  const auto digest = fastnst::sha256(file.data(), size);
  std::memcpy(&file[size], digest.data(), kDigest);
  fastnst::survives_model(file.data(), file.size());
  return 0;
}
