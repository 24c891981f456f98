#include "engine/kernels.h"

#include <atomic>
#include <cstdlib>
#include <cstring>
#include <stdexcept>
#include <string>

namespace fastnst {

extern const Kernels kScalar;
#if defined(__x86_64__)
extern const Kernels kAvx2, kAvxVnni, kAvx512Vnni;
#elif defined(__aarch64__)
extern const Kernels kNeonDot;
#endif

namespace {

const Kernels* const kPaths[] = {
#if defined(__x86_64__)
    &kAvx512Vnni,
    &kAvxVnni,
    &kAvx2,
#elif defined(__aarch64__)
    &kNeonDot,
#endif
    &kScalar,
};
constexpr int kCount = sizeof kPaths / sizeof kPaths[0];
std::atomic<uint64_t> calls[kCount];

const Kernels& choose() {
  const char* forced = std::getenv("FASTNST_ISA");
  std::string usable;
  for (const Kernels* path : kPaths) {
    if (!path->supported()) continue;
    if (forced == nullptr || *forced == 0 || std::strcmp(forced, path->name) == 0) return *path;
    usable += std::string(usable.empty() ? "" : ", ") + path->name;
  }
  throw std::runtime_error(std::string("FASTNST_ISA=") + forced + " cannot run on this processor; it can run " + usable);
}

}  // namespace

KernelTable kernel_table() { return {kPaths, kCount}; }

const Kernels& kernels() {
  static const Kernels& chosen = choose();
  return chosen;
}

uint64_t kernel_calls(const Kernels& path) {
  for (int i = 0; i < kCount; i++)
    if (kPaths[i] == &path) return calls[i].load(std::memory_order_relaxed);
  return 0;
}

void count_calls(const Kernels& path, uint64_t rows) {
  for (int i = 0; i < kCount; i++)
    if (kPaths[i] == &path) calls[i].fetch_add(rows, std::memory_order_relaxed);
}

}  // namespace fastnst
