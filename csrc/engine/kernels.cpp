#include "engine/kernels.h"

#include <algorithm>
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

const CompiledPath kPaths[] = {
#if defined(__x86_64__)
    {&kAvx512Vnni, Path::kAvx512},
    {&kAvxVnni, Path::kAvx2},
    {&kAvx2, Path::kAvx2},
#elif defined(__aarch64__)
    {&kNeonDot, Path::kBaseline},
#endif
    {&kScalar, Path::kBaseline},
};
constexpr int kCount = sizeof kPaths / sizeof kPaths[0];
std::atomic<uint64_t> calls[kCount];

// What FASTNST_ISA names, if it names anything.
const char* forced_path() {
  const char* forced = std::getenv("FASTNST_ISA");
  return forced == nullptr || *forced == 0 ? nullptr : forced;
}

const CompiledPath& choose() {
  const char* forced = forced_path();
  std::string usable;
  for (const CompiledPath& path : kPaths) {
    if (!path.kernels->supported()) continue;
    if (forced == nullptr || std::strcmp(forced, path.kernels->name) == 0) return path;
    usable += std::string(usable.empty() ? "" : ", ") + path.kernels->name;
  }
  throw std::runtime_error(std::string("FASTNST_ISA=") + forced + " cannot run on this processor; it can run " + usable);
}

const CompiledPath& chosen() {
  static const CompiledPath& path = choose();
  return path;
}

}  // namespace

KernelTable kernel_table() { return {kPaths, kCount}; }

const Kernels& kernels() { return *chosen().kernels; }

Path operations_path() {
  static const Path path = forced_path() == nullptr ? best_path() : std::min(chosen().operations, best_path());
  return path;
}

uint64_t kernel_calls(const Kernels& path) {
  for (int i = 0; i < kCount; i++)
    if (kPaths[i].kernels == &path) return calls[i].load(std::memory_order_relaxed);
  return 0;
}

void count_calls(const Kernels& path, uint64_t rows) {
  for (int i = 0; i < kCount; i++)
    if (kPaths[i].kernels == &path) calls[i].fetch_add(rows, std::memory_order_relaxed);
}

}  // namespace fastnst
