// Measures two limits of this machine, for the number of threads given: 8-bit multiply-adds from registers, and reading memory.
// Prints one line of JSON. Threads are pinned, one to each of the first processors this process may use. With the name of an
// instruction set of the engine, no wider instructions than it has are measured.
//
//   c++ -O3 -pthread peak.cpp -o peak && ./peak 2 avx2

#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <thread>
#include <vector>

namespace {

using Clock = std::chrono::steady_clock;

constexpr int kRepetitions = 7;

struct Instruction {
    const char* name;
    void (*run)(int64_t loops);  // independent instructions, enough in every loop to cover their latency
    int64_t macs_per_loop;
    int64_t loops = 30'000'000;  // about 50 ms at 4 GHz
};

#if defined(__x86_64__)

// Fourteen accumulators cover the latency of two instructions per cycle. The sources are neither zero nor equal: what the bits
// are changes the power drawn, and with it the clock.
#define FOURTEEN(op, reg)                                                                                    \
    op " %%" reg "14, %%" reg "15, %%" reg "0\n\t" op " %%" reg "14, %%" reg "15, %%" reg "1\n\t"            \
    op " %%" reg "14, %%" reg "15, %%" reg "2\n\t" op " %%" reg "14, %%" reg "15, %%" reg "3\n\t"            \
    op " %%" reg "14, %%" reg "15, %%" reg "4\n\t" op " %%" reg "14, %%" reg "15, %%" reg "5\n\t"            \
    op " %%" reg "14, %%" reg "15, %%" reg "6\n\t" op " %%" reg "14, %%" reg "15, %%" reg "7\n\t"            \
    op " %%" reg "14, %%" reg "15, %%" reg "8\n\t" op " %%" reg "14, %%" reg "15, %%" reg "9\n\t"            \
    op " %%" reg "14, %%" reg "15, %%" reg "10\n\t" op " %%" reg "14, %%" reg "15, %%" reg "11\n\t"          \
    op " %%" reg "14, %%" reg "15, %%" reg "12\n\t" op " %%" reg "14, %%" reg "15, %%" reg "13\n\t"

#define LOOP(op, reg)                                                                                        \
    asm volatile("vmovd %1, %%xmm14\n\tvpbroadcastd %%xmm14, %%" reg "14\n\t"                                \
                 "vmovd %2, %%xmm15\n\tvpbroadcastd %%xmm15, %%" reg "15\n\t"                                \
                 "1:\n\t" FOURTEEN(op, reg) "dec %0\n\tjnz 1b\n\tvzeroupper"                                 \
                 : "+r"(loops)                                                                               \
                 : "r"(0x5bd1e995), "r"(0x2545f491)                                                          \
                 : "cc", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9",     \
                   "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15")

void run_avx512(int64_t loops) { LOOP("vpdpbusd", "zmm"); }
void run_avx(int64_t loops) { LOOP("%{vex%} vpdpbusd", "ymm"); }
void run_avx2(int64_t loops) { LOOP("vpmaddubsw", "ymm"); }

// Six tiles of sums cover the latency of one instruction in 16 cycles. Each multiplies 16 x 64 bytes by 64 x 16.
void run_amx(int64_t loops) {
    alignas(64) uint8_t config[64] = {1}, bytes[1024];
    for (int tile = 0; tile < 8; ++tile) {
        config[16 + 2 * tile] = 64;  // bytes a row
        config[48 + tile] = 16;      // rows
    }
    uint32_t random = 0x5bd1e995;
    for (uint8_t& byte : bytes) byte = uint8_t((random = random * 1664525 + 1013904223) >> 24);
    asm volatile(
        "ldtilecfg %1\n\t"
        "tileloadd (%2,%3), %%tmm6\n\ttileloadd (%2,%3), %%tmm7\n\t"
        "tilezero %%tmm0\n\ttilezero %%tmm1\n\ttilezero %%tmm2\n\ttilezero %%tmm3\n\ttilezero %%tmm4\n\ttilezero %%tmm5\n\t"
        "1:\n\t"
        "tdpbusd %%tmm7, %%tmm6, %%tmm0\n\ttdpbusd %%tmm7, %%tmm6, %%tmm1\n\ttdpbusd %%tmm7, %%tmm6, %%tmm2\n\t"
        "tdpbusd %%tmm7, %%tmm6, %%tmm3\n\ttdpbusd %%tmm7, %%tmm6, %%tmm4\n\ttdpbusd %%tmm7, %%tmm6, %%tmm5\n\t"
        "dec %0\n\tjnz 1b\n\ttilerelease"
        : "+r"(loops)
        : "m"(config), "r"(bytes), "r"(int64_t{64})
        : "cc", "memory");
}

// Whether the processor has tiles of bytes, the system saves them, and it grants them to this process, which must ask.
bool has_amx(uint32_t saved, uint32_t features) {
    constexpr uint32_t kStates = 0x60000, kTilesOfBytes = 0x3000000;
    constexpr long kRequest = 0x1023, kTileData = 18;
    return (saved & kStates) == kStates && (features & kTilesOfBytes) == kTilesOfBytes &&
           syscall(SYS_arch_prctl, kRequest, kTileData) == 0;
}

void cpuid(uint32_t leaf, uint32_t subleaf, uint32_t (&out)[4]) {
    asm volatile("cpuid" : "=a"(out[0]), "=b"(out[1]), "=c"(out[2]), "=d"(out[3]) : "a"(leaf), "c"(subleaf));
}

// The widest 8-bit multiply-add of this processor that its system also saves the registers of, or a null name. Without dot
// products that is the one whose sums of two have 16 bits: what becomes of those counts for nothing here.
Instruction find_instruction(const std::string& set) {
    if (set == "ssse3" || set == "scalar") return {nullptr, nullptr, 0};
    const bool vnni = set != "avx2" && set != "avx512", wide = vnni && set != "avxvnni";
    uint32_t r[4];
    cpuid(0, 0, r);
    if (r[0] < 7) return {nullptr, nullptr, 0};
    cpuid(1, 0, r);
    if (!(r[2] & (1u << 27))) return {nullptr, nullptr, 0};  // xgetbv is not there
    uint32_t low, high;
    asm volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    cpuid(7, 0, r);
    const uint32_t subleaves = r[0];
    if ((set.empty() || set == "amx") && has_amx(low, r[3]))
        return {"AMX tdpbusd, tiles of 16 x 64 bytes", run_amx, 6 * 16 * 16 * 64, 1'500'000};
    const bool avx2 = (low & 0x06) == 0x06 && (r[1] & (1u << 5));
    if (wide && (low & 0xe6) == 0xe6 && (r[1] & (1u << 16)) && (r[2] & (1u << 11)))
        return {"AVX-512 VNNI vpdpbusd, 512 bits", run_avx512, 14 * 64};
    if (vnni && subleaves >= 1 && avx2) {
        cpuid(7, 1, r);
        if (r[0] & (1u << 4)) return {"AVX-VNNI vpdpbusd, 256 bits", run_avx, 14 * 32};
    }
    if (avx2) return {"AVX2 vpmaddubsw, 256 bits", run_avx2, 14 * 32};
    return {nullptr, nullptr, 0};
}

#else

Instruction find_instruction(const std::string&) { return {nullptr, nullptr, 0}; }

#endif

void pin(int index) {
    cpu_set_t allowed, one;
    sched_getaffinity(0, sizeof allowed, &allowed);
    int seen = 0;
    const int target = index % CPU_COUNT(&allowed);
    for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
        if (!CPU_ISSET(cpu, &allowed) || seen++ != target) continue;
        CPU_ZERO(&one);
        CPU_SET(cpu, &one);
        sched_setaffinity(0, sizeof one, &one);
        return;
    }
}

// Seconds in which all threads get through `work(thread)`, from a common start to the last one's end; the best of several.
template <class Work>
double best_seconds(int threads, Work work) {
    double best = 1e30;
    for (int repetition = 0; repetition < kRepetitions; ++repetition) {
        std::atomic<int> waiting{threads};
        std::vector<Clock::time_point> begin(threads), end(threads);
        std::vector<std::thread> pool;
        for (int t = 0; t < threads; ++t) {
            pool.emplace_back([&, t] {
                pin(t);
                --waiting;
                while (waiting > 0) {
                }
                begin[t] = Clock::now();
                work(t);
                end[t] = Clock::now();
            });
        }
        for (auto& thread : pool) thread.join();
        const auto span = *std::max_element(end.begin(), end.end()) - *std::min_element(begin.begin(), begin.end());
        best = std::min(best, std::chrono::duration<double>(span).count());
    }
    return best;
}

// Sums 64-bit words of a buffer far larger than any cache share, eight chains wide so that the adds do not limit it.
uint64_t sum(const std::vector<uint64_t>& buffer) {
    uint64_t total[8] = {};
    for (size_t i = 0; i < buffer.size(); i += 8)
        for (size_t k = 0; k < 8; ++k) total[k] += buffer[i + k];
    for (size_t k = 1; k < 8; ++k) total[0] += total[k];
    return total[0];
}

}  // namespace

int main(int argc, char** argv) {
    const int threads = argc > 1 ? std::max(1, std::atoi(argv[1])) : 1;
    const Instruction instruction = find_instruction(argc > 2 ? argv[2] : "");
    std::printf("{\"threads\": %d, ", threads);
    if (instruction.name) {
        const double seconds = best_seconds(threads, [&](int) { instruction.run(instruction.loops); });
        const double rate = double(threads) * double(instruction.loops) * double(instruction.macs_per_loop) / seconds;
        std::printf("\"instruction\": \"%s\", \"macs_per_second\": %.4g, ", instruction.name, rate);
    } else {
        std::printf("\"instruction\": null, \"macs_per_second\": null, ");
    }
    constexpr size_t kBytes = size_t{256} << 20;
    std::vector<std::vector<uint64_t>> buffers(threads, std::vector<uint64_t>(kBytes / 8, 1));
    std::atomic<uint64_t> sink{0};
    const double seconds = best_seconds(threads, [&](int t) { sink += sum(buffers[t]); });
    std::printf("\"bytes_per_second\": %.4g}\n", sink ? double(threads) * kBytes / seconds : 0.0);
}
