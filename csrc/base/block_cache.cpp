#include "base/block_cache.h"

#include <algorithm>
#include <cstdlib>
#include <mutex>
#include <new>
#include <vector>

#include "base/pages.h"

namespace fastnst {
namespace {

constexpr size_t kBlocks = 4, kBytes = size_t(1) << 30;  // at most, enough for a forward and a backward pass of one map
constexpr size_t kAlignment = size_t(2) << 20;           // the size of a large page

struct Idle {
  void* data;
  size_t size;
};

struct Cache {
  std::mutex mutex;
  std::vector<Idle> blocks;  // the longest idle first

  Cache() { blocks.reserve(kBlocks + 1); }  // a destructor adds to it, and may not fail
};

// Never destroyed: tensors may outlive everything that is static.
Cache& cache() {
  static Cache* const instance = new Cache;
  return *instance;
}

void* fresh(size_t size) {
  const size_t rounded = (size + kAlignment - 1) / kAlignment * kAlignment;
  void* data = rounded < size ? nullptr : std::aligned_alloc(kAlignment, rounded);
  if (data == nullptr) throw std::bad_alloc();
  prefer_large_pages(data, rounded);
  return data;
}

}  // namespace

CachedBlock::CachedBlock(size_t size) : data_(nullptr), size_(size) {
  // try_lock, because in a process that was forked while another thread held the lock it is never released.
  if (const std::unique_lock<std::mutex> lock(cache().mutex, std::try_to_lock); lock) {
    auto& blocks = cache().blocks;
    const auto found = std::find_if(blocks.rbegin(), blocks.rend(), [&](const Idle& each) { return each.size == size; });
    if (found != blocks.rend()) {
      data_ = found->data;
      blocks.erase(std::next(found).base());
      return;
    }
  }
  data_ = fresh(size);
}

CachedBlock::~CachedBlock() {
  const std::unique_lock<std::mutex> lock(cache().mutex, std::try_to_lock);
  if (!lock) {
    std::free(data_);
    return;
  }
  auto& blocks = cache().blocks;
  blocks.push_back({data_, size_});
  size_t total = 0;
  for (const Idle& each : blocks) total += each.size;
  while (blocks.size() > kBlocks || total > kBytes) {
    total -= blocks.front().size;
    std::free(blocks.front().data);
    blocks.erase(blocks.begin());
  }
}

size_t release_cache() {
  const std::lock_guard<std::mutex> lock(cache().mutex);
  size_t total = 0;
  for (const Idle& each : cache().blocks) {
    total += each.size;
    std::free(each.data);
  }
  cache().blocks.clear();
  return total;
}

}  // namespace fastnst
