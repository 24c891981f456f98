// The command line of fastnst-stylize.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "fastnst.h"

namespace fastnst {

extern const char* const kUsage;

// Wrong usage: what is wrong, in one line.
struct Usage {
  std::string text;
};

// What `mask` covers takes these styles, mixed by their weights.
struct RegionFiles {
  std::string mask;
  std::vector<std::string> styles;
  std::vector<double> weights;
};

struct Options {
  std::string model, content, style, out;
  std::vector<RegionFiles> regions;
  std::optional<std::string> alpha_map;
  double alpha = 1;
  std::optional<double> palette;  // 1 where it is not given
  fastnst_colors colors = FASTNST_PALETTE;
  std::vector<int> levels;                            // none = all that the model has
  std::vector<std::pair<int, double>> style_weights;  // numbers of a generator's own styles; none = its first
  int threads = int(std::max(1u, std::thread::hardware_concurrency()));
  uint64_t max_memory = 0;  // 0 = see budget()
  bool overwrite = false;
};

// Throws Usage.
Options parse_options(int count, char** arguments);

}  // namespace fastnst
