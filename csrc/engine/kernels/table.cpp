#include "engine/kernels/table.h"

#include <atomic>
#include <cstdlib>
#include <cstring>
#include <stdexcept>
#include <string>

#if defined(__x86_64__)
#include <cpuid.h>
#if defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#endif
#elif defined(__aarch64__) && defined(__linux__)
#include <asm/hwcap.h>
#include <sys/auxv.h>
#endif

namespace fastnst {

extern const ProductKernels kAmxProducts, kAvx512VnniProducts, kAvxVnniProducts, kAvx2Products, kSsse3Products,
    kNeonDotProducts, kNeonProducts, kRelaxedDotProducts, kRelaxedProducts, kSimd128Products, kScalarProducts;
extern const LoopKernels kAvx512VnniLoops, kAvx2Loops, kNeonLoops, kSimd128Loops, kScalarLoops;

bool has_exact_relaxed();

namespace {

#if defined(__x86_64__)
bool has_f16c() {  // clang's __builtin_cpu_supports has no name for it
  unsigned eax, ebx, ecx, edx;
  return __get_cpuid(1, &eax, &ebx, &ecx, &edx) != 0 && (ecx & bit_F16C) != 0;
}

bool has_avx2() {
  __builtin_cpu_init();
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && has_f16c();
}

bool has_ssse3() {
  __builtin_cpu_init();
  return __builtin_cpu_supports("ssse3");
}

bool has_avxvnni() {
  unsigned eax, ebx, ecx, edx;
  return has_avx2() && __get_cpuid_count(7, 1, &eax, &ebx, &ecx, &edx) != 0 && (eax & (1u << 4)) != 0;
}

bool has_avx512() {
  return has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq");
}

bool has_avx512vnni() { return has_avx512() && __builtin_cpu_supports("avx512vnni"); }

// A process has tiles only once it has asked the kernel for them, for all of its threads: they make a thread's state larger.
bool has_amx() {
#if defined(__linux__)
  constexpr unsigned kTiles = 1u << 24, kInt8 = 1u << 25;
  constexpr long kRequest = 0x1023, kTileData = 18;  // ARCH_REQ_XCOMP_PERM of asm/prctl.h, XFEATURE_XTILEDATA
  unsigned eax, ebx, ecx, edx;
  return has_avx512vnni() && __get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) != 0 && (edx & kTiles) != 0 &&
         (edx & kInt8) != 0 && syscall(SYS_arch_prctl, kRequest, kTileData) == 0;
#else
  return false;
#endif
}
#elif defined(__aarch64__)
bool has_dot_product() {
#if defined(__linux__)
  return (getauxval(AT_HWCAP) & HWCAP_ASIMDDP) != 0;
#else
  return true;  // every 64-bit Apple processor has it
#endif
}
#endif

bool always() { return true; }

constexpr InstructionSet kSets[] = {
#if defined(__x86_64__)
    {"amx", has_amx, &kAmxProducts, &kAvx512VnniLoops, Variant::avx512},
    {"avx512vnni", has_avx512vnni, &kAvx512VnniProducts, &kAvx512VnniLoops, Variant::avx512},
    {"avx512", has_avx512, &kAvx2Products, &kAvx2Loops, Variant::avx512},  // has no dot products of bytes
    {"avxvnni", has_avxvnni, &kAvxVnniProducts, &kAvx2Loops, Variant::avx2},
    {"avx2", has_avx2, &kAvx2Products, &kAvx2Loops, Variant::avx2},
    {"ssse3", has_ssse3, &kSsse3Products, &kScalarLoops, Variant::baseline},
#elif defined(__aarch64__)
    {"neondot", has_dot_product, &kNeonDotProducts, &kNeonLoops, Variant::baseline},
    {"neon", always, &kNeonProducts, &kNeonLoops, Variant::baseline},
#elif defined(__wasm_relaxed_simd__)  // browsers refuse a module whose instructions they lack
    {"relaxeddot", has_exact_relaxed, &kRelaxedDotProducts, &kSimd128Loops, Variant::baseline},
    {"relaxed", always, &kRelaxedProducts, &kSimd128Loops, Variant::baseline},
#elif defined(__wasm_simd128__)
    {"simd128", always, &kSimd128Products, &kSimd128Loops, Variant::baseline},
#endif
#if !defined(__wasm_simd128__)
    {"scalar", always, &kScalarProducts, &kScalarLoops, Variant::baseline},
#endif
};

std::atomic<uint64_t> calls{0};

const InstructionSet& choose() {
  const char* forced = std::getenv("FASTNST_ISA");
  if (forced != nullptr && *forced == 0) forced = nullptr;
  std::string usable;
  for (const InstructionSet& set : kSets) {
    if (!set.supported()) continue;
    if (forced == nullptr || std::strcmp(forced, set.name) == 0) return set;
    usable += std::string(usable.empty() ? "" : ", ") + set.name;
  }
  throw std::runtime_error(std::string("FASTNST_ISA=") + forced + " cannot run on this processor; it can run " + usable);
}

}  // namespace

std::span<const InstructionSet> instruction_sets() { return kSets; }

const InstructionSet& instruction_set() {
  static const InstructionSet& set = choose();
  return set;
}

const Kernels& kernels() {
  static const Kernels chosen{*instruction_set().products, *instruction_set().loops};
  return chosen;
}

uint64_t kernel_calls(const InstructionSet& set) {
  return &set == &instruction_set() ? calls.load(std::memory_order_relaxed) : 0;
}

void count_calls(uint64_t rows) { calls.fetch_add(rows, std::memory_order_relaxed); }

}  // namespace fastnst
