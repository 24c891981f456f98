// Data parallelism over rows: on the engine's own small pool of threads, or on PyTorch's OpenMP threads.
#pragma once

#include <cstdint>
#include <type_traits>

namespace fastnst {

using RangeFunction = void (*)(void* context, int slot, int64_t begin, int64_t end);

// Calls `function(context, slot, begin, end)` on ranges of at most `grain` items that together cover [0, count), from up to
// `threads` threads including the caller's, and returns when all are done. Ranges are handed out in order as threads become
// free; `slot`, below `threads`, identifies the thread, for scratch memory. If the pool is busy with another caller's work,
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

// While an object of this class exists, the work of its thread goes to the OpenMP threads of the process instead of the pool,
// if there is GNU OpenMP. This is for work between operations of PyTorch: its threads spin for milliseconds after each
// operation, and those of the pool would have to share the cores with them.
class OpenMpTeam {
 public:
  OpenMpTeam();
  ~OpenMpTeam();
  OpenMpTeam(const OpenMpTeam&) = delete;
  OpenMpTeam& operator=(const OpenMpTeam&) = delete;
};

}  // namespace fastnst
