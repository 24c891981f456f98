// Data parallelism over rows, on a small pool of the engine's own.
#pragma once

#include <cstdint>
#include <type_traits>

namespace fastnst {

using RangeFunction = void (*)(void* context, int slot, int64_t begin, int64_t end);

// Calls `function(context, slot, begin, end)` on ranges of at most `grain` items that together cover [0, count), from up to
// `threads` threads, the caller's included; returns when all are done. Ranges are handed out in order as threads become
// free; `slot`, below `threads`, is the thread's own, for scratch memory. If the pool is busy with another caller's work,
// the caller does everything itself. `function` must not throw.
void parallel_ranges(int64_t count, int64_t grain, int threads, RangeFunction function, void* context);

template <typename Body>
void parallel_for(int64_t count, int64_t grain, int threads, Body&& body) {
  parallel_ranges(
      count, grain, threads,
      [](void* context, int slot, int64_t begin, int64_t end) {
        (*static_cast<std::remove_reference_t<Body>*>(context))(slot, begin, end);
      },
      &body);
}

}  // namespace fastnst
