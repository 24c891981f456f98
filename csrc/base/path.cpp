#include "base/path.h"

#include <cstdlib>
#include <stdexcept>
#include <string>

#if defined(__x86_64__)
#include <cpuid.h>
#endif

namespace fastnst {
namespace {

#if defined(__x86_64__)
// Clang's __builtin_cpu_supports has no name for it.
bool has_f16c() {
  unsigned eax, ebx, ecx, edx;
  return __get_cpuid(1, &eax, &ebx, &ecx, &edx) != 0 && (ecx & bit_F16C) != 0;
}
#endif

Path best() {
#if defined(__x86_64__)
  __builtin_cpu_init();
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
      __builtin_cpu_supports("avx512dq"))
    return Path::kAvx512;
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && has_f16c()) return Path::kAvx2;
#endif
  return Path::kBaseline;
}

Path choose() {
  const char* forced = std::getenv("FASTNST_ISA");
  if (forced == nullptr || *forced == 0) return best();
  const std::string name = forced;
  Path wanted = Path::kBaseline;
  if (name == "avx512vnni") wanted = Path::kAvx512;
  if (name == "avx2" || name == "avxvnni") wanted = Path::kAvx2;
  if (wanted > best()) throw std::runtime_error("FASTNST_ISA=" + name + " cannot run on this processor");
  return wanted;
}

}  // namespace

Path path() {
  static const Path chosen = choose();
  return chosen;
}

const char* path_name() {
  constexpr const char* kNames[] = {"baseline", "avx2", "avx512"};
  return kNames[static_cast<int>(path())];
}

}  // namespace fastnst
