#include "base/path.h"

#if defined(__x86_64__)
#include <cpuid.h>
#endif

namespace fastnst {

#if defined(__x86_64__)
// Clang's __builtin_cpu_supports has no name for it.
static bool has_f16c() {
  unsigned eax, ebx, ecx, edx;
  return __get_cpuid(1, &eax, &ebx, &ecx, &edx) != 0 && (ecx & bit_F16C) != 0;
}
#endif

Path best_path() {
#if defined(__x86_64__)
  __builtin_cpu_init();
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
      __builtin_cpu_supports("avx512dq"))
    return Path::kAvx512;
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && has_f16c()) return Path::kAvx2;
#endif
  return Path::kBaseline;
}

const char* path_name(Path path) {
  constexpr const char* kNames[] = {"baseline", "avx2", "avx512"};
  return kNames[static_cast<int>(path)];
}

}  // namespace fastnst
