#include "base/histogram.h"

#include "base/parallel.h"

namespace fastnst {

void Histogram::add(const uint8_t* rgb, int64_t pixels) {
  for (int64_t i = 0; i < 3 * pixels; i += 3)
    for (size_t c = 0; c < 3; c++) counts_[c][rgb[i + int64_t(c)]]++;
}

Histogram::Tables Histogram::tables(const Histogram& wanted) const {
  Tables found;
  for (size_t c = 0; c < 3; c++) {
    uint64_t below = 0, level = 0, reached = wanted.counts_[c][0];  // by levels up to `level`
    for (size_t own = 0; own < 256; own++) {
      const uint64_t rank = 2 * below + counts_[c][own];
      while (level < 255 && 2 * reached < rank) reached += wanted.counts_[c][++level];
      found[c][own] = uint8_t(level);
      below += counts_[c][own];
    }
  }
  return found;
}

void map_levels(const Histogram::Tables& tables, uint8_t* rgb, int64_t pixels, int threads) {
  parallel_for(pixels, 16384, threads, [&](int, int64_t begin, int64_t end) {
    for (int64_t i = 3 * begin; i < 3 * end; i++) rgb[i] = tables[size_t(i % 3)][rgb[i]];
  });
}

}  // namespace fastnst
