#include "base/parallel.h"

#if defined(__wasm__)  // without OpenMP; threads, in the module that has them, are those of csrc/web/threads.cpp

namespace fastnst {

OpenMpTeam::OpenMpTeam() {}
OpenMpTeam::~OpenMpTeam() {}

#if !defined(__wasm_atomics__)
void parallel_ranges(int64_t count, int64_t, int, RangeFunction function, void* context) {
  if (count > 0) function(context, 0, 0, count);
}
#endif

}  // namespace fastnst

#else

#include <dlfcn.h>
#include <pthread.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <deque>
#include <exception>
#include <mutex>
#include <thread>

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

// Spins until `ready()`. Returns false after a little longer than the usual gap between two layers of a network: then sleeping
// is better for everything else on the machine.
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

// A thread of the pool and its state. Each is on its own cache line, because every worker watches only its own state.
struct alignas(64) Worker {
  enum State : uint32_t { kIdle, kOffered, kRunning };
  std::atomic<uint32_t> state{kIdle};

  // Sleeps or spins while the state is `value`.
  void wait_while(uint32_t value) {
    const auto changed = [&] { return state.load(std::memory_order_acquire) != value; };
    if (!spin(changed))
      while (!changed()) state.wait(value, std::memory_order_acquire);
  }
  bool move(uint32_t from, uint32_t to) { return state.compare_exchange_strong(from, to, std::memory_order_acq_rel); }
};

class Pool {
 public:
  // Runs the job with `helpers` pool threads beside the caller; returns false if another caller holds the pool. The other
  // threads of the pool stay asleep.
  bool run(int64_t count, int64_t grain, int helpers, RangeFunction function, void* context) {
    const std::unique_lock<std::mutex> owner(busy_, std::try_to_lock);
    if (!owner) return false;
    helpers = hire(helpers);
    count_ = count, grain_ = grain, function_ = function, context_ = context;
    next_.store(0, std::memory_order_relaxed);
    for (int i = 0; i < helpers; i++) {
      workers_[i].state.store(Worker::kOffered, std::memory_order_release);
      workers_[i].state.notify_one();
    }
    take_ranges(0);
    // No work is left for a worker that has not started. One that has may still be running.
    for (int i = 0; i < helpers; i++)
      if (!workers_[i].move(Worker::kOffered, Worker::kIdle)) workers_[i].wait_while(Worker::kRunning);
    return true;
  }

 private:
  // The number of helpers that exist, at most `helpers`; starts those that are missing.
  int hire(int helpers) {
    try {
      while (int(workers_.size()) < helpers) {
        const int index = int(workers_.size());
        workers_.emplace_back();
        try {
          std::thread([this, index, &worker = workers_.back()] { work(worker, index + 1); }).detach();
        } catch (...) {
          workers_.pop_back();
          throw;
        }
      }
    } catch (const std::exception&) {
      // The system has no more threads, or no memory for them: the existing ones do the work.
    }
    return std::min(helpers, int(workers_.size()));
  }

  void take_ranges(int slot) {
    for (;;) {
      const int64_t begin = next_.fetch_add(grain_, std::memory_order_relaxed);
      if (begin >= count_) return;
      function_(context_, slot, begin, std::min(begin + grain_, count_));
    }
  }

  void work(Worker& worker, int slot) {
    for (;;) {
      worker.wait_while(Worker::kIdle);
      if (!worker.move(Worker::kOffered, Worker::kRunning)) continue;  // the offer was taken back
      take_ranges(slot);
      worker.state.store(Worker::kIdle, std::memory_order_release);
      worker.state.notify_one();
    }
  }

  std::mutex busy_;
  std::deque<Worker> workers_;  // a deque, because workers may not move
  std::atomic<int64_t> next_{0};
  int64_t count_ = 0, grain_ = 1;
  RangeFunction function_ = nullptr;
  void* context_ = nullptr;
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

// The function that compilers call for a parallel region; name and arguments are fixed (libgomp.h).
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

#endif
