// What the C interface offers, in C++: an engine with the palette step, the content's colours and a limit of memory.
#pragma once

#include <cstdint>
#include <string>

#include "engine/engine.h"
#include "engine/palette.h"

namespace fastnst {

// fastnst_options, checked, with all defaults filled in.
struct Settings {
  double alpha = 1, palette = 1;
  bool preserve_color = false;
  int threads = 1;
  Levels levels;
  uint64_t max_memory = 0;  // 0: what default_budget() says
  std::string folder;
};

struct Style {
  Look look;
  Colors colors;
};

// Throws std::invalid_argument unless pictures may have this size.
void check_size(int64_t height, int64_t width);

Style encode_style(const Engine& engine, const Settings& settings, const uint8_t* rgb, int64_t height, int64_t width);
Style encode_style(const Engine& engine, const Settings& settings, const RowIO& picture);

// `weights`: see fastnst_style_mix; none: equal parts.
Style mixed(const std::vector<const Style*>& styles, const std::vector<double>& weights);

void stylize(const Engine& engine, const Settings& settings, const Style& style, const uint8_t* rgb, int64_t height,
             int64_t width, uint8_t* out);
void stylize(const Engine& engine, const Settings& settings, const Style& style, const RowIO& content);
void translate(const Engine& engine, const Settings& settings, const uint8_t* rgb, int64_t height, int64_t width, uint8_t* out);

}  // namespace fastnst
