#include "base/histogram.h"

#include "base/parallel.h"

namespace fastnst {

void count_levels(const uint8_t* rgb, int64_t pixels, Histogram& histogram) {
  for (int64_t i = 0; i < 3 * pixels; i += 3)
    for (size_t c = 0; c < 3; c++) histogram[c][rgb[i + int64_t(c)]]++;
}

LevelTables level_tables(const Histogram& own, const Histogram& wanted) {
  LevelTables found;
  for (size_t c = 0; c < 3; c++) {
    uint64_t below = 0, level = 0, reached = wanted[c][0];  // by levels up to `level`
    for (size_t from = 0; from < 256; from++) {
      const uint64_t rank = 2 * below + own[c][from];
      while (level < 255 && 2 * reached < rank) reached += wanted[c][++level];
      found[c][from] = uint8_t(level);
      below += own[c][from];
    }
  }
  return found;
}

void map_levels(const LevelTables& tables, uint8_t* rgb, int64_t pixels, int threads) {
  parallel_for(pixels, 16384, threads, [&](int, int64_t begin, int64_t end) {
    for (int64_t i = 3 * begin; i < 3 * end; i++) rgb[i] = tables[size_t(i % 3)][rgb[i]];
  });
}

}  // namespace fastnst
