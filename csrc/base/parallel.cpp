#include "base/parallel.h"

#include <dlfcn.h>
#include <pthread.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <mutex>
#include <system_error>
#include <thread>
#include <vector>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace fastnst {
namespace {

void relax() {
#if defined(__x86_64__)
  _mm_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

// Spins until `ready()`; false if it takes longer than the gap between two layers of a network usually lasts, after which
// sleeping is cheaper for everyone else on the machine.
template <typename Ready>
bool spin(Ready&& ready) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::microseconds(50);
  do {
    for (int i = 0; i < 64; i++) {
      if (ready()) return true;
      relax();
    }
  } while (std::chrono::steady_clock::now() < deadline);
  return ready();
}

class Pool {
 public:
  // Runs the job with `helpers` pool threads beside the caller; false if another caller holds the pool.
  bool run(int64_t count, int64_t grain, int helpers, RangeFunction function, void* context) {
    const std::unique_lock<std::mutex> owner(busy_, std::try_to_lock);
    if (!owner) return false;
    hire(helpers);
    count_ = count, grain_ = grain, function_ = function, context_ = context, helpers_ = helpers;
    next_.store(0, std::memory_order_relaxed);
    // Every worker must see the job and answer, also those that have no part in it: only then may it be overwritten.
    pending_.store(int(workers_.size()), std::memory_order_relaxed);
    generation_.fetch_add(1, std::memory_order_release);
    generation_.notify_all();
    take_ranges(0);
    if (!spin([this] { return pending_.load(std::memory_order_acquire) == 0; }))
      for (int left; (left = pending_.load(std::memory_order_acquire)) != 0;) pending_.wait(left);
    return true;
  }

 private:
  void hire(int helpers) {
    try {
      while (int(workers_.size()) < helpers) {
        const int index = int(workers_.size());
        // A worker waits for the generation to move on from what it is now; every job waits for every worker.
        workers_.emplace_back([this, index, seen = generation_.load()] { work(index, seen); });
        workers_.back().detach();
      }
    } catch (const std::system_error&) {
      // The system gives no more threads: those there are do the work.
    }
  }

  void take_ranges(int slot) {
    for (;;) {
      const int64_t begin = next_.fetch_add(grain_, std::memory_order_relaxed);
      if (begin >= count_) return;
      function_(context_, slot, begin, std::min(begin + grain_, count_));
    }
  }

  void work(int index, uint32_t seen) {
    for (;; seen++) {
      const auto moved = [&] { return generation_.load(std::memory_order_acquire) != seen; };
      if (!spin(moved))
        while (!moved()) generation_.wait(seen, std::memory_order_acquire);
      if (index < helpers_) take_ranges(index + 1);
      if (pending_.fetch_sub(1, std::memory_order_acq_rel) == 1) pending_.notify_one();
    }
  }

  std::mutex busy_;
  std::vector<std::thread> workers_;
  std::atomic<uint32_t> generation_{0};
  std::atomic<int> pending_{0};
  std::atomic<int64_t> next_{0};
  int64_t count_ = 0, grain_ = 1;
  RangeFunction function_ = nullptr;
  void* context_ = nullptr;
  int helpers_ = 0;
};

// Never destroyed: its threads may outlive everything static. A forked child inherits the object but not the threads, so
// it starts over with a new one.
std::atomic<Pool*> pool{nullptr};

Pool& current_pool() {
  static std::once_flag once;
  std::call_once(once, [] {
    pool = new Pool;
    pthread_atfork(nullptr, nullptr, [] { pool = new Pool; });
  });
  return *pool.load();
}

// What compilers turn a parallel region into; the name and the arguments are fixed (libgomp.h).
using OpenMpRegion = void (*)(void (*body)(void*), void* data, unsigned threads, unsigned flags);

thread_local OpenMpRegion borrowed = nullptr;

void run_on_team(OpenMpRegion region, int64_t count, int64_t grain, int threads, RangeFunction function, void* context) {
  struct Shared {
    int64_t count, grain;
    RangeFunction function;
    void* context;
    std::atomic<int64_t> next{0};
    std::atomic<int> slots{0};
  } shared{count, grain, function, context};
  const auto take_ranges = [](void* data) {
    Shared& work = *static_cast<Shared*>(data);
    const int slot = work.slots.fetch_add(1, std::memory_order_relaxed);
    for (int64_t begin; (begin = work.next.fetch_add(work.grain, std::memory_order_relaxed)) < work.count;)
      work.function(work.context, slot, begin, std::min(begin + work.grain, work.count));
  };
  region(take_ranges, &shared, unsigned(threads), 0);
}

}  // namespace

OpenMpTeam::OpenMpTeam() { borrowed = reinterpret_cast<OpenMpRegion>(dlsym(RTLD_DEFAULT, "GOMP_parallel")); }
OpenMpTeam::~OpenMpTeam() { borrowed = nullptr; }

void parallel_ranges(int64_t count, int64_t grain, int threads, RangeFunction function, void* context) {
  if (count <= 0) return;
  grain = std::max<int64_t>(grain, 1);
  const int64_t ranges = (count + grain - 1) / grain;
  const int helpers = int(std::min<int64_t>(threads, ranges)) - 1;
  if (helpers >= 1 && borrowed != nullptr) return run_on_team(borrowed, count, grain, helpers + 1, function, context);
  if (helpers < 1 || !current_pool().run(count, grain, helpers, function, context)) function(context, 0, 0, count);
}

}  // namespace fastnst
