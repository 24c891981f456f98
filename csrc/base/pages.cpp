#include "base/pages.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>

namespace fastnst {

void prefer_large_pages([[maybe_unused]] void* data, [[maybe_unused]] size_t size) {
#if defined(__linux__) && defined(MADV_HUGEPAGE)
  // As NumPy does for its arrays, from the same size on: two pages of 2 MB.
  if (size < size_t(4) << 20) return;
  const uintptr_t page = uintptr_t(sysconf(_SC_PAGESIZE)), begin = reinterpret_cast<uintptr_t>(data);
  const uintptr_t first = (begin + page - 1) / page * page, last = (begin + size) / page * page;
  madvise(reinterpret_cast<void*>(first), last - first, MADV_HUGEPAGE);  // only advice: if it is refused, results are the same
#endif
}

void* map_zeros(size_t size) {
  void* data = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (data == MAP_FAILED) return nullptr;
  // Maps of that size are read 1 to 4 % faster from large pages. The first picture of smaller ones is slower for them: one
  // thread clears a large page while the others wait.
  if (size >= size_t(8) << 20) prefer_large_pages(data, size);
  return data;
}

void unmap(void* data, size_t size) { munmap(data, size); }

}  // namespace fastnst
