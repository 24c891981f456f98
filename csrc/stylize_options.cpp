#include "stylize_options.h"

#include <cmath>
#include <cstdlib>
#include <stdexcept>
#include <utility>

#include "base/memory.h"

namespace fastnst {

const char* const kUsage =
    "usage: fastnst-stylize MODEL.fnst CONTENT [STYLE] -o OUT [--alpha A] [--palette P | --preserve-color MODE]\n"
    "                       [--levels L,L...]\n"
    "                       [--region MASK=STYLE[,STYLE:WEIGHT...]]... [--alpha-map MASK]\n"
    "                       [--style-index N | --style-weights N:WEIGHT[,N:WEIGHT...]]\n"
    "                       [--threads N] [--max-memory BYTES] [--overwrite]\n"
    "  CONTENT and STYLE are binary PPM, PGM or PAM pictures in their own size; - is standard input or output.\n"
    "  OUT is a PPM or a PAM by its name, or else what CONTENT is. What lies below transparent pixels changes nothing.\n"
    "  A model that translates pictures by itself takes no STYLE, alpha, palette, levels, regions or alpha map.\n"
    "  --palette: how far colours are moved to the style's, 0 = as the network makes them, 1 = all the way (default).\n"
    "  --preserve-color keeps the content's colours: luma or lab take the lightness alone from the result, match gives it the\n"
    "  mean and covariance of the content's colours, histogram their histograms.\n"
    "  --levels chooses among the levels of a WCT model, such as 5,4,3,2,1; without it all that it has.\n"
    "  --region: what MASK covers takes a style of its own, or several that are mixed by their weights; may be repeated. What "
    "no\n"
    "  mask covers takes STYLE, or stays as it is without one. A mask is a picture of at most 4096 pixels a side, white where "
    "the\n"
    "  region is, or opaque where it has transparency.\n"
    "  --alpha-map: how strong the style is by place, white = as --alpha says, black = not at all.\n"
    "  --style-index: one of the styles of a model that has several of its own, from 0 on; --style-weights mixes them by\n"
    "  weights, such as 3:0.5,12:0.5. Without either the first.\n"
    "  --max-memory, such as 512M or 2G: larger pictures are done in tiles, with the same pixels; default: 12 bytes for each\n"
    "  pixel, 256 with a model that takes no STYLE, at least 64M, at most a quarter of the machine's.\n";

namespace {

constexpr int kMostStyles = 1 << 20;  // more than any model has

double parse_number(const std::string& flag, const std::string& text, double low, double high) {
  char* end = nullptr;
  const double value = std::strtod(text.c_str(), &end);
  if (text.empty() || *end != 0 || !(value >= low && value <= high))
    throw Usage{flag + " takes a number from " + std::to_string(int(low)) + " to " + std::to_string(int(high)) + ", not '" +
                text + "'"};
  return value;
}

int parse_whole(const std::string& flag, const std::string& text, int low, int high) {
  const double value = parse_number(flag, text, low, high);
  if (value != int(value)) throw Usage{flag + " takes whole numbers, not '" + text + "'"};
  return int(value);
}

std::vector<int> parse_levels(const std::string& flag, const std::string& text) {
  std::vector<int> levels;
  for (size_t begin = 0; begin <= text.size();) {
    const size_t end = std::min(text.find(',', begin), text.size());
    const int level = parse_whole(flag, text.substr(begin, end - begin), 1, 5);
    if (std::find(levels.begin(), levels.end(), level) != levels.end())
      throw Usage{flag + " " + text + ": a level is given twice"};
    levels.push_back(level);
    begin = end + 1;
  }
  return levels;
}

fastnst_colors parse_colors(const std::string& flag, const std::string& text) {
  constexpr std::pair<const char*, fastnst_colors> kModes[] = {
      {"luma", FASTNST_LUMA}, {"lab", FASTNST_LAB}, {"match", FASTNST_MATCH}, {"histogram", FASTNST_HISTOGRAM}};
  for (const auto& [name, mode] : kModes)
    if (text == name) return mode;
  throw Usage{flag + " takes luma, lab, match or histogram, not '" + text + "'"};
}

// From "3:0.5,12:0.5".
std::vector<std::pair<int, double>> parse_style_weights(const std::string& flag, const std::string& text) {
  std::vector<std::pair<int, double>> weights;
  for (size_t begin = 0; begin <= text.size();) {
    const size_t end = std::min(text.find(',', begin), text.size());
    const std::string part = text.substr(begin, end - begin);
    const size_t colon = part.find(':');
    if (colon == std::string::npos) throw Usage{flag + ": '" + part + "' is no style with its weight, such as 3:0.5"};
    const int number = parse_whole(flag, part.substr(0, colon), 0, kMostStyles);
    char* stop = nullptr;
    const double weight = std::strtod(part.c_str() + colon + 1, &stop);
    if (colon + 1 == part.size() || *stop != 0 || !(weight >= 0 && std::isfinite(weight)))
      throw Usage{flag + ": '" + part + "' has no weight of at least 0"};
    if (std::any_of(weights.begin(), weights.end(), [&](const auto& other) { return other.first == number; }))
      throw Usage{flag + " " + text + ": a style is given two weights"};
    weights.emplace_back(number, weight);
    begin = end + 1;
  }
  return weights;
}

// A style and its weight, which is 1 where none is told: then the colon is part of the name.
std::pair<std::string, double> weighted(const std::string& text) {
  const size_t colon = text.rfind(':');
  if (colon == std::string::npos || colon + 1 == text.size()) return {text, 1};
  char* end = nullptr;
  const double weight = std::strtod(text.c_str() + colon + 1, &end);
  if (*end != 0) return {text, 1};
  if (!(weight >= 0 && std::isfinite(weight))) throw Usage{"--region: " + text + ": a weight is at least 0"};
  return {text.substr(0, colon), weight};
}

RegionFiles parse_region(const std::string& text) {
  const size_t equals = std::min(text.find('='), text.size());
  RegionFiles region{text.substr(0, equals), {}, {}};
  for (size_t begin = equals + 1; begin <= text.size();) {
    const size_t end = std::min(text.find(',', begin), text.size());
    const auto [style, weight] = weighted(text.substr(begin, end - begin));
    region.styles.push_back(style), region.weights.push_back(weight);
    begin = end + 1;
  }
  const auto is_empty = [](const std::string& name) { return name.empty(); };
  if (region.mask.empty() || region.styles.empty() || std::any_of(region.styles.begin(), region.styles.end(), is_empty))
    throw Usage{"--region: '" + text + "' does not name a mask and a style, such as sky.pgm=painting.ppm"};
  if (std::all_of(region.weights.begin(), region.weights.end(), [](double weight) { return weight == 0; }))
    throw Usage{"--region: " + text + ": weights are not all 0"};
  return region;
}

// Standard input can be one of the pictures.
void check_standard_input(const Options& options) {
  std::vector<std::string> read{options.content, options.style, options.alpha_map.value_or("")};
  for (const RegionFiles& region : options.regions) {
    read.push_back(region.mask);
    read.insert(read.end(), region.styles.begin(), region.styles.end());
  }
  if (std::count(read.begin(), read.end(), "-") > 1) throw Usage{"only one of the pictures can be standard input"};
}

uint64_t bytes_of(const std::string& flag, const std::string& text) {
  try {
    return parse_bytes(text);
  } catch (const std::invalid_argument& error) {
    throw Usage{flag + ": " + error.what()};
  }
}

}  // namespace

Options parse_options(int count, char** arguments) {
  Options options;
  std::string* const places[] = {&options.model, &options.content, &options.style};
  int placed = 0;
  for (int i = 1; i < count; i++) {
    std::string argument = arguments[i];
    std::optional<std::string> attached;  // of --option=value
    if (const size_t equals = argument.find('='); argument.starts_with("--") && equals != std::string::npos) {
      attached = argument.substr(equals + 1);
      argument.resize(equals);
    }
    const auto value = [&]() -> std::string {
      if (attached) return *std::exchange(attached, std::nullopt);
      if (i + 1 >= count) throw Usage{argument + " needs a value"};
      return arguments[++i];
    };
    if (argument == "-o" || argument == "--output")
      options.out = value();
    else if (argument == "--alpha")
      options.alpha = parse_number(argument, value(), 0, 1);
    else if (argument == "--palette")
      options.palette = parse_number(argument, value(), 0, 1);
    else if (argument == "--preserve-color")
      options.colors = parse_colors(argument, value());
    else if (argument == "--levels")
      options.levels = parse_levels(argument, value());
    else if (argument == "--style-index")
      options.style_weights = {{parse_whole(argument, value(), 0, kMostStyles), 1.0}};
    else if (argument == "--style-weights")
      options.style_weights = parse_style_weights(argument, value());
    else if (argument == "--region")
      options.regions.push_back(parse_region(value()));
    else if (argument == "--alpha-map")
      options.alpha_map = value();
    else if (argument == "--threads")
      options.threads = parse_whole(argument, value(), 1, 1024);
    else if (argument == "--max-memory")
      options.max_memory = bytes_of(argument, value());
    else if (argument == "--overwrite")
      options.overwrite = true;
    else if (argument.size() > 1 && argument[0] == '-')
      throw Usage{"unknown option " + argument};
    else if (placed == 3)
      throw Usage{"one argument too many: " + argument};
    else
      *places[placed++] = argument;
    if (attached) throw Usage{argument + " takes no value"};
  }
  if (placed < 2 || options.out.empty()) throw Usage{"a model, a content, a style where it takes one, and -o OUT are needed"};
  if (options.palette && options.colors != FASTNST_PALETTE) throw Usage{"--palette and --preserve-color exclude each other"};
  check_standard_input(options);
  return options;
}

}  // namespace fastnst
