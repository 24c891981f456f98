// The library for a page: pictures are rows of RGBA, which JavaScript hands over and takes back when it is called for them. See
// web/engine.js, which is the other side; everything else it calls is in include/fastnst.h.
#include <cstring>
#include <memory>
#include <vector>

#include "base/temporary_picture.h"
#include "fastnst.h"

using fastnst::TemporaryPicture;

// What the module imports. `rgba`: 4 bytes for each pixel. They end the call by what they throw in JavaScript: see failure.cpp.
extern "C" {
[[clang::import_module("page"), clang::import_name("read")]] void page_read(int first, int count, uint8_t* rgba);
[[clang::import_module("page"), clang::import_name("write")]] void page_write(const uint8_t* rgba, int count);
[[clang::import_module("page"), clang::import_name("tell")]] void page_tell(double part);
}

namespace {

// What one call is asked: JavaScript makes one after the other. The library refuses a number of regions above what it takes.
constexpr size_t kMostRegions = 65;
fastnst_options options = FASTNST_OPTIONS;
fastnst_region regions[kMostRegions];
fastnst_mask alpha_map;

void split(const uint8_t* rgba, size_t pixels, uint8_t* rgb, uint8_t* alpha) {
  for (size_t i = 0; i < pixels; i++) {
    std::memcpy(rgb + 3 * i, rgba + 4 * i, 3);
    if (alpha != nullptr) alpha[i] = rgba[4 * i + 3];
  }
}

// The page's picture as the library asks for it. One that is transparent anywhere is put aside first, its hidden pixels filled.
class Picture {
 public:
  Picture(int height, int width, bool transparent) : height_(height), width_(width) {
    if (!transparent) return;
    const auto next = [this, y = 0](uint8_t* rgb, uint8_t* alpha) mutable { take(y++, 1, rgb, alpha); };
    aside_ = std::make_unique<TemporaryPicture>(fastnst::PictureSize{height, width, true, false}, "", next);
  }

  fastnst_rows rows() {
    const auto read = [](void* self, int64_t first, int64_t count, uint8_t* rgb) {
      static_cast<Picture*>(self)->read(int(first), int(count), rgb);
      return 0;
    };
    const auto write = [](void* self, const uint8_t* rgb, int64_t count) {
      static_cast<Picture*>(self)->write(rgb, int(count));
      return 0;
    };
    const auto tell = [](void*, double part) {
      page_tell(part);
      return 0;
    };
    return {height_, width_, read, write, tell, this};
  }

  void read(int first, int count, uint8_t* rgb) {
    if (aside_)
      aside_->read(first, count, rgb);
    else
      take(first, count, rgb, nullptr);
  }

  void write(const uint8_t* rgb, int count) {
    std::vector<uint8_t> alpha(aside_ ? size_t(count) * size_t(width_) : 0);
    if (aside_) aside_->read_alpha(written_, count, alpha.data());
    const size_t pixels = size_t(count) * size_t(width_);
    rgba_.resize(4 * pixels);
    for (size_t i = 0; i < pixels; i++) {
      std::memcpy(&rgba_[4 * i], rgb + 3 * i, 3);
      rgba_[4 * i + 3] = aside_ ? alpha[i] : 255;
    }
    page_write(rgba_.data(), count);
    written_ += count;
  }

 private:
  void take(int first, int count, uint8_t* rgb, uint8_t* alpha) {
    const size_t pixels = size_t(count) * size_t(width_);
    rgba_.resize(4 * pixels);
    page_read(first, count, rgba_.data());
    split(rgba_.data(), pixels, rgb, alpha);
  }

  int height_, width_, written_ = 0;
  std::vector<uint8_t> rgba_;
  std::unique_ptr<TemporaryPicture> aside_;
};

}  // namespace

extern "C" {

// A page has no environment, and the C library's takes room.
char* getenv(const char*) { return nullptr; }

// Options in memory of the library's, until the next call. `levels` is NULL for all. They have no regions and no alpha map.
FASTNST_API const fastnst_options* fastnst_page_options(double alpha, double palette, int preserve_color, const int* levels,
                                                        int level_count, int threads, double max_memory) {
  options = FASTNST_OPTIONS;
  options.alpha = alpha, options.palette = palette, options.preserve_color = preserve_color;
  options.levels = levels, options.level_count = size_t(level_count);
  options.threads = threads, options.max_memory = uint64_t(max_memory);
  return &options;
}

// Gives these options weights of a generator's own styles, which must outlive the call.
FASTNST_API void fastnst_page_weights(const double* weights, int count) {
  options.style_weights = weights, options.style_weight_count = size_t(count);
}

// Gives these options one more region, in a style; or without a style their alpha map. `values` are height * width bytes.
FASTNST_API void fastnst_page_mask(int height, int width, const uint8_t* values, const fastnst_style* style) {
  const fastnst_mask mask = {height, width, values};
  if (style == nullptr) {
    alpha_map = mask;
    options.alpha_map = &alpha_map;
  } else if (options.region_count < kMostRegions) {
    regions[options.region_count++] = {mask, style};
    options.regions = regions;
  }
}

// The style of the page's picture.
FASTNST_API fastnst_style* fastnst_page_style(const fastnst_model* model, const fastnst_options* options, int height, int width,
                                              int transparent) {
  fastnst_style* style = nullptr;
  Picture picture(height, width, transparent != 0);
  const fastnst_rows rows = picture.rows();
  fastnst_style_encode_rows(model, options, &rows, &style);
  return style;
}

// The page's picture in a style, which may be NULL with regions; or what a generator makes of it.
FASTNST_API void fastnst_page_stylize(const fastnst_model* model, const fastnst_options* options, const fastnst_style* style,
                                      int height, int width, int transparent) {
  Picture picture(height, width, transparent != 0);
  const fastnst_rows rows = picture.rows();
  if (fastnst_model_kind(model) == FASTNST_GENERATOR)
    fastnst_translate_rows(model, options, &rows);
  else
    fastnst_stylize_rows(model, options, style, &rows);
}

}  // extern "C"
