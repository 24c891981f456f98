// What the C interface offers, in C++: an engine with regions, colour modes and a limit of memory.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "engine/engine.h"
#include "engine/palette.h"
#include "fastnst.h"

namespace fastnst {

struct Style {
  Look look;
  Colors colors;
};

// fastnst_options, checked, with all defaults filled in.
struct Settings {
  double alpha = 1, palette = 1;
  fastnst_colors colors = FASTNST_PALETTE;
  int threads = 1;
  Levels levels;
  uint64_t max_memory = 0;  // 0: what default_budget() says
  std::string folder;
  std::optional<std::vector<double>> style_weights;  // of a generator's own; without, the first style alone
  std::optional<Regions> regions;                    // or an alpha map without any
  std::vector<const Style*> region_styles;
};

// Throws std::invalid_argument unless pictures may have this size.
void check_size(int64_t height, int64_t width);

Style encode_style(const Engine& engine, const Settings& settings, const uint8_t* rgb, int64_t height, int64_t width);
Style encode_style(const Engine& engine, const Settings& settings, const RowIO& picture);

// `weights`: see fastnst_style_mix; none: equal parts.
Style mixed(const std::vector<const Style*>& styles, const std::vector<double>& weights);

// `style`: of what no region covers; NULL if the settings have regions that do not paint the rest.
void stylize(const Engine& engine, const Settings& settings, const Style* style, const uint8_t* rgb, int64_t height,
             int64_t width, uint8_t* out);
void stylize(const Engine& engine, const Settings& settings, const Style* style, const RowIO& content);
void translate(const Engine& engine, const Settings& settings, const uint8_t* rgb, int64_t height, int64_t width, uint8_t* out);
void translate(const Engine& engine, const Settings& settings, const RowIO& content);

}  // namespace fastnst
