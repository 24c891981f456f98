// fastnst-stylize: the engine without Python. Pictures are PPM, PGM or PAM, from files or pipes.
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "base/memory.h"
#include "base/pnm.h"
#include "base/temporary_picture.h"
#include "fastnst.h"
#include "stylize_files.h"
#include "stylize_options.h"

namespace {

using namespace fastnst;

// Of what the library says; `where`, if anywhere, is the file that it speaks of.
void check(fastnst_status status, const std::string& where = "") {
  if (status == FASTNST_OK) return;
  throw Failure{where.empty() ? fastnst_error() : where + ": " + fastnst_error()};
}

using Model = std::unique_ptr<fastnst_model, void (*)(fastnst_model*)>;
using Look = std::unique_ptr<fastnst_style, void (*)(fastnst_style*)>;

Model load_model(const std::string& path) {
  fastnst_model* model = nullptr;
  check(fastnst_model_open(path.c_str(), &model));
  return {model, fastnst_model_free};
}

// Bytes for a picture of so many pixels.
uint64_t budget(const Options& options, uint64_t pixels) {
  return options.max_memory > 0 ? options.max_memory : default_budget(pixels, machine_memory());
}

// Where what does not fit into memory goes.
std::string folder_of(const Options& options) {
  if (options.out == "-") return "/tmp";
  const size_t slash = options.out.rfind('/');
  return slash == std::string::npos ? "." : options.out.substr(0, slash + 1);
}

// Where so many bytes beside the engine's are put aside: in memory, "", if they are a small part of the budget.
std::string aside(const Options& options, uint64_t bytes, uint64_t pixels) {
  return bytes <= budget(options, pixels) / 8 ? "" : folder_of(options);
}

// A picture read whole into temporary storage.
std::unique_ptr<TemporaryPicture> stored(const Options& options, Input& input) {
  const uint64_t bytes = input.pixels() * (input.size().alpha ? 4 : 3);
  return std::make_unique<TemporaryPicture>(input.size(), aside(options, bytes, input.pixels()),
                                            [&](uint8_t* rgb, uint8_t* alpha) { input.read(1, rgb, alpha); });
}

// The library's options; those of the command line must outlive them.
fastnst_options library_options(const Options& options, const std::string& folder) {
  fastnst_options wanted = FASTNST_OPTIONS;
  wanted.alpha = options.alpha;
  wanted.palette = options.palette.value_or(1);
  wanted.preserve_color = options.colors;
  wanted.threads = options.threads;
  if (!options.levels.empty()) wanted.levels = options.levels.data(), wanted.level_count = options.levels.size();
  wanted.max_memory = options.max_memory;
  wanted.folder = folder.c_str();
  return wanted;
}

// Rows for the library. What reading and writing throw waits here until the library has returned.
class Rows {
 public:
  using Read = std::function<void(int64_t first, int64_t count, uint8_t* rgb)>;
  using Write = std::function<void(const uint8_t* rgb, int64_t count)>;

  Rows(const PictureSize& size, Read read, Write write) : size_(size), read_(std::move(read)), write_(std::move(write)) {}

  // Calls run(rows) and throws what went wrong.
  template <typename Run>
  void pass(Run&& run) {
    const auto read = [](void* self, int64_t first, int64_t count, uint8_t* rgb) {
      return static_cast<Rows*>(self)->attempt([&](Rows& rows) { rows.read_(first, count, rgb); });
    };
    const auto write = [](void* self, const uint8_t* rgb, int64_t count) {
      return static_cast<Rows*>(self)->attempt([&](Rows& rows) { rows.write_(rgb, count); });
    };
    const fastnst_rows rows{size_.height, size_.width, read, write, nullptr, this};
    const fastnst_status status = run(rows);
    if (thrown_) std::rethrow_exception(thrown_);
    check(status);
  }

 private:
  template <typename Work>
  int attempt(Work&& work) noexcept {
    try {
      work(*this);
      return 0;
    } catch (...) {
      thrown_ = std::current_exception();
      return 1;
    }
  }

  const PictureSize size_;
  const Read read_;
  const Write write_;
  std::exception_ptr thrown_;
};

// The style, which a WCT model reads once for every level.
Look encode_style(const fastnst_model& model, const Options& options, const fastnst_options& wanted, const std::string& path) {
  Input input(path);
  const auto kept = stored(options, input);
  fastnst_style* style = nullptr;
  Rows(
      input.size(), [&](int64_t first, int64_t count, uint8_t* rgb) { kept->read(first, count, rgb); },
      [](const uint8_t*, int64_t) {})
      .pass([&](const fastnst_rows& rows) { return fastnst_style_encode_rows(&model, &wanted, &rows, &style); });
  return {style, fastnst_style_free};
}

// A mask of at most 4096 pixels a side, as the library wants it.
class MaskFile {
 public:
  explicit MaskFile(const std::string& path) {
    Input input(path);
    const auto [height, width, has_alpha, pam] = input.size();
    if (std::max(height, width) > 4096) throw Failure{name_of(path) + ": a mask has at most 4096 pixels a side"};
    std::vector<uint8_t> rgb(input.pixels() * 3), alpha(has_alpha ? input.pixels() : 0);
    input.read(height, rgb.data(), alpha.data());
    values_ = std::any_of(alpha.begin(), alpha.end(), [](uint8_t each) { return each != 255; }) ? alpha : light(rgb);
    mask_ = {height, width, values_.data()};
  }
  const fastnst_mask& mask() const { return mask_; }

 private:
  // As Pillow makes pictures grey.
  static std::vector<uint8_t> light(const std::vector<uint8_t>& rgb) {
    std::vector<uint8_t> grey;
    for (size_t i = 0; i < rgb.size(); i += 3)
      grey.push_back(uint8_t((rgb[i] * 19595 + rgb[i + 1] * 38470 + rgb[i + 2] * 7471 + 0x8000) >> 16));
    return grey;
  }

  std::vector<uint8_t> values_;  // a moved vector stays where it is
  fastnst_mask mask_;
};

// Styles and strength by place, for as long as a call takes.
class Places {
 public:
  Places(const fastnst_model& model, const Options& options, const fastnst_options& wanted) {
    for (const RegionFiles& files : options.regions) {
      masks_.emplace_back(files.mask);
      std::vector<Look> parts;
      std::vector<const fastnst_style*> styles;
      for (const std::string& path : files.styles) {
        parts.push_back(encode_style(model, options, wanted, path));
        styles.push_back(parts.back().get());
      }
      fastnst_style* mixed = nullptr;
      check(fastnst_style_mix(styles.size(), styles.data(), files.weights.data(), &mixed));
      looks_.push_back({mixed, fastnst_style_free});
      regions_.push_back({masks_.back().mask(), mixed});
    }
    if (options.alpha_map) alpha_map_.emplace(*options.alpha_map);
  }

  void give(fastnst_options& wanted) const {
    wanted.regions = regions_.data(), wanted.region_count = regions_.size();
    if (alpha_map_) wanted.alpha_map = &alpha_map_->mask();
  }

 private:
  std::vector<MaskFile> masks_;
  std::vector<Look> looks_;
  std::vector<fastnst_region> regions_;
  std::optional<MaskFile> alpha_map_;
};

// A weight for each of a model's own styles.
std::vector<double> weights_of(const fastnst_model& model, const Options& options) {
  const size_t count = fastnst_model_styles(&model);
  std::vector<double> weights(count);
  if (count == 0) throw Usage{options.model + " has no styles of its own to choose by number"};
  for (const auto& [number, weight] : options.style_weights) {
    if (size_t(number) >= count)
      throw Usage{"there is no style " + std::to_string(number) + ": " + options.model + " has " + std::to_string(count) +
                  ", numbered 0 to " + std::to_string(count - 1)};
    weights[size_t(number)] = weight;
  }
  return weights;
}

// What is done with a content, which it is given as rows.
using Run = std::function<fastnst_status(const fastnst_rows& content)>;

void write_result(const Options& options, const Run& run) {
  Input content(options.content);
  const auto [height, width, has_alpha, pam] = content.size();
  Output out(options, content.size());
  const auto kept = has_alpha ? stored(options, content) : nullptr;  // for filling takes a second pass
  std::vector<uint8_t> line(has_alpha ? size_t(width) : 0);
  int64_t written = 0;
  const auto read = [&](int64_t first, int64_t count, uint8_t* rgb) {
    if (kept)
      kept->read(first, count, rgb);
    else
      content.read(count, rgb, nullptr);
  };
  const auto write = [&, width = width](const uint8_t* rgb, int64_t count) {
    for (int64_t y = 0; y < count; y++) {
      if (kept) kept->read_alpha(written + y, 1, line.data());
      out.write(1, rgb + y * width * 3, line.data());
    }
    written += count;
  };
  Rows(content.size(), read, write).pass(run);
  out.finish();
}

void translate(const fastnst_model& model, const Options& options, const fastnst_options& wanted) {
  if (!options.style.empty() || !options.levels.empty() || options.alpha != 1 || options.palette || !options.regions.empty() ||
      options.alpha_map)
    throw Usage{options.model +
                " translates pictures by itself: it takes no style, alpha, palette, levels, regions or alpha map"};
  write_result(options, [&](const fastnst_rows& rows) { return fastnst_translate_rows(&model, &wanted, &rows); });
}

void apply_style(const fastnst_model& model, const Options& options, fastnst_options wanted) {
  const Places places(model, options, wanted);
  const Look style =
      options.style.empty() ? Look(nullptr, fastnst_style_free) : encode_style(model, options, wanted, options.style);
  places.give(wanted);
  write_result(options, [&](const fastnst_rows& rows) { return fastnst_stylize_rows(&model, &wanted, style.get(), &rows); });
}

void stylize(const Options& options) {
  if (options.out != "-" && !options.overwrite && access(options.out.c_str(), F_OK) == 0)
    throw Failure{options.out + ": exists already (--overwrite replaces it)"};
  const Model model = load_model(options.model);
  const bool translates = fastnst_model_kind(model.get()) == FASTNST_GENERATOR;
  if (!translates && options.style.empty() && options.regions.empty()) throw Usage{options.model + " needs a style"};
  const std::string folder = folder_of(options);
  fastnst_options wanted = library_options(options, folder);
  const std::vector<double> weights = options.style_weights.empty() ? std::vector<double>() : weights_of(*model, options);
  if (!weights.empty()) wanted.style_weights = weights.data(), wanted.style_weight_count = weights.size();
  if (translates)
    translate(*model, options, wanted);
  else
    apply_style(*model, options, wanted);
}

}  // namespace

int main(int count, char** arguments) {
  std::signal(SIGINT, interrupted);
  std::signal(SIGTERM, interrupted);
  std::signal(SIGPIPE, SIG_IGN);
  try {
    if (count == 2 && std::strcmp(arguments[1], "--help") == 0) {
      std::fputs(kUsage, stdout);
      return 0;
    }
    stylize(parse_options(count, arguments));
    return 0;
  } catch (const Usage& usage) {
    std::fprintf(stderr, "fastnst-stylize: %s\n%s", usage.text.c_str(), kUsage);
    return 2;
  } catch (const Failure& failure) {
    std::fprintf(stderr, "fastnst-stylize: %s\n", failure.text.c_str());
  } catch (const std::bad_alloc&) {
    std::fputs("fastnst-stylize: not enough memory\n", stderr);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "fastnst-stylize: %s\n", error.what());
  }
  return 1;
}
