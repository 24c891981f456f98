// The threads of a page's engine. Each is one more instance of the module, in a worker of its own and on the same memory, that
// web/engine.js lets wait in `fastnst_page_help`. Emscripten's own threads would need its JavaScript around the module.
//
// The thread that calls the engine waits for no worker that has not begun: what no helper takes, it does by itself.
#if defined(__wasm_atomics__)  // memory is shared

#include <errno.h>
#include <pthread.h>

#include <algorithm>
#include <atomic>

#include "base/parallel.h"
#include "fastnst.h"

namespace {

constexpr int kMostHelpers = 15;

// Sleeps while a word in shared memory has a value, or until woken; and wakes one that does.
void sleep_while(std::atomic<int>& word, int value) {
  __builtin_wasm_memory_atomic_wait32(reinterpret_cast<int*>(&word), value, -1);
}
void wake(std::atomic<int>& word) { __builtin_wasm_memory_atomic_notify(reinterpret_cast<int*>(&word), 1); }

// Until it has no longer this value. Layers follow each other closely: sleeping at once would cost more.
void wait_while(std::atomic<int>& word, int value) {
  for (int i = 0; i < 4096; i++)
    if (word.load(std::memory_order_acquire) != value) return;
  while (word.load(std::memory_order_acquire) == value) sleep_while(word, value);
}

enum State : int { kIdle, kOffered, kRunning };

struct alignas(64) Helper {
  std::atomic<int> state{kIdle};
} helpers[kMostHelpers];

struct Work {
  std::atomic<int64_t> next{0};
  int64_t count = 0, grain = 1;
  fastnst::RangeFunction function = nullptr;
  void* context = nullptr;

  void take_ranges(int slot) {
    for (int64_t begin; (begin = next.fetch_add(grain, std::memory_order_relaxed)) < count;)
      function(context, slot, begin, std::min(begin + grain, count));
  }
} work;

bool busy = false;  // of the one thread that calls the engine

bool move(std::atomic<int>& state, int from, int to) {
  return state.compare_exchange_strong(from, to, std::memory_order_acq_rel);
}

}  // namespace

namespace fastnst {

void parallel_ranges(int64_t count, int64_t grain, int threads, RangeFunction function, void* context) {
  if (count <= 0) return;
  grain = std::max<int64_t>(grain, 1);
  const int64_t ranges = (count + grain - 1) / grain;
  const int asked = int(std::min<int64_t>({threads - 1, ranges - 1, kMostHelpers}));
  if (asked < 1 || busy) return function(context, 0, 0, count);
  busy = true;
  work.count = count, work.grain = grain, work.function = function, work.context = context;
  work.next.store(0, std::memory_order_relaxed);
  for (int i = 0; i < asked; i++) {
    helpers[i].state.store(kOffered, std::memory_order_release);
    wake(helpers[i].state);
  }
  work.take_ranges(0);
  for (int i = 0; i < asked; i++)
    if (!move(helpers[i].state, kOffered, kIdle)) wait_while(helpers[i].state, kRunning);
  busy = false;
}

}  // namespace fastnst

extern "C" {

// What a helper's module does, and never returns from. `index`: which of the helpers it is, from 0 on.
FASTNST_API void fastnst_page_help(int index) {
  auto& state = helpers[index].state;
  for (;;) {
    wait_while(state, kIdle);
    if (!move(state, kOffered, kRunning)) continue;  // the offer was taken back
    work.take_ranges(index + 1);
    state.store(kIdle, std::memory_order_release);
    wake(state);
  }
}

// The C library's locks lock nothing without its own threads. A lock is its first word, which is 0 while it is free.
int pthread_mutex_trylock(pthread_mutex_t* mutex) {
  return move(*reinterpret_cast<std::atomic<int>*>(mutex), 0, 1) ? 0 : EBUSY;
}

int pthread_mutex_lock(pthread_mutex_t* mutex) {
  auto& word = *reinterpret_cast<std::atomic<int>*>(mutex);
  while (!move(word, 0, 1)) wait_while(word, 1);
  return 0;
}

int pthread_mutex_unlock(pthread_mutex_t* mutex) {
  auto& word = *reinterpret_cast<std::atomic<int>*>(mutex);
  word.store(0, std::memory_order_release);
  wake(word);
  return 0;
}

}  // extern "C"

#endif
