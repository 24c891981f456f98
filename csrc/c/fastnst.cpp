// The C interface: checks arguments and turns exceptions into statuses. include/fastnst.h documents it.
#include "fastnst.h"

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <new>
#include <stdexcept>
#include <string_view>
#include <thread>

#include "c/stylizer.h"
#include "engine/kernels/table.h"

struct fastnst_model {
  std::unique_ptr<const fastnst::Engine> engine;
};

struct fastnst_style {
  fastnst::Style style;
};

namespace fastnst {
namespace {

thread_local char last_error[1024] = "";

struct Stopped : std::exception {
  const char* what() const noexcept override { return "stopped by a callback"; }
};

// A file that cannot be read.
struct FileError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

fastnst_status failed(fastnst_status status, const char* why) {
  last_error[std::string_view(why).copy(last_error, sizeof last_error - 1)] = 0;
  return status;
}

// Calls work() and turns its exceptions into a status.
template <typename Work>
fastnst_status guarded(Work&& work) noexcept {
  try {
    work();
    return FASTNST_OK;
  } catch (const Stopped& stopped) {
    return failed(FASTNST_STOPPED, stopped.what());
  } catch (const std::bad_alloc&) {
    return failed(FASTNST_NO_MEMORY, "not enough memory");
  } catch (const ModelError& error) {
    return failed(FASTNST_BAD_MODEL, error.what());
  } catch (const std::logic_error& error) {
    return failed(FASTNST_BAD_ARGUMENT, error.what());
  } catch (const std::overflow_error& error) {
    return failed(FASTNST_BAD_ARGUMENT, error.what());
  } catch (const std::exception& error) {
    return failed(FASTNST_FAILED, error.what());
  } catch (...) {
    return failed(FASTNST_FAILED, "an unknown error");
  }
}

template <typename T>
T* given(T* pointer, const char* name) {
  if (pointer == nullptr) throw std::invalid_argument(std::string(name) + " is NULL");
  return pointer;
}

void check_share(double value, const char* name) {
  if (!(value >= 0 && value <= 1)) throw std::invalid_argument(std::string(name) + " must lie in 0..1");
}

// The options of a program that was compiled with this header or an older one. The first ended before `regions` and knew no
// other colours of the content than luma; the second ended before `style_weights`.
fastnst_options complete(const fastnst_options* options) {
  fastnst_options all = FASTNST_OPTIONS;
  if (options == nullptr) return all;
  const bool first = options->size == offsetof(fastnst_options, regions);
  if (options->size != sizeof all && options->size != offsetof(fastnst_options, style_weights) && !first)
    throw std::invalid_argument("options do not begin with FASTNST_OPTIONS of this version");
  std::memcpy(&all, options, options->size);
  all.size = sizeof all;
  if (first && all.preserve_color != 0) all.preserve_color = FASTNST_LUMA;
  return all;
}

Mask mask_of(const fastnst_mask& mask) { return Mask(mask.height, mask.width, given(mask.values, "the mask")); }

void add_regions(const fastnst_options& from, Settings& to) {
  if (from.region_count == 0 && from.alpha_map == nullptr) return;
  check_region_count(from.region_count);  // before anything is read of as many
  Regions& regions = to.regions.emplace(Regions{{}, {}, true});
  if (from.alpha_map != nullptr) regions.strength = mask_of(*from.alpha_map);
  for (size_t i = 0; i < from.region_count; i++) {
    const fastnst_region& region = given(from.regions, "the list of regions")[i];
    regions.masks.push_back(mask_of(region.mask));
    to.region_styles.push_back(&given(region.style, "the style of a region")->style);
  }
}

Settings checked(const fastnst_options* options) {
  const fastnst_options from = complete(options);
  check_share(from.alpha, "alpha");
  check_share(from.palette, "palette");
  if (from.preserve_color < FASTNST_PALETTE || from.preserve_color > FASTNST_HISTOGRAM)
    throw std::invalid_argument("preserve_color must be one of fastnst_colors, not " + std::to_string(from.preserve_color));
  if (from.threads < 0 || from.threads > 1024)
    throw std::invalid_argument("threads must be 1 to 1024, not " + std::to_string(from.threads));
  Settings to;
  to.alpha = from.alpha, to.palette = from.palette, to.colors = fastnst_colors(from.preserve_color);
  to.threads = from.threads > 0 ? from.threads : int(std::clamp(std::thread::hardware_concurrency(), 1u, 1024u));
  to.max_memory = from.max_memory;
  if (from.levels != nullptr) to.levels.emplace(from.levels, from.levels + from.level_count);
  if (from.style_weights != nullptr) to.style_weights.emplace(from.style_weights, from.style_weights + from.style_weight_count);
  const char* folder = from.folder != nullptr ? from.folder : std::getenv("TMPDIR");
  to.folder = folder != nullptr && *folder != 0 ? folder : "/tmp";
  add_regions(from, to);
  return to;
}

// The style of what no region of a call covers, which may be none.
const Style* rest_of(const fastnst_style* style, Settings& settings) {
  if (style == nullptr && !settings.region_styles.empty()) {
    settings.regions->paints_rest = false;
    return nullptr;
  }
  return &given(style, "the style")->style;
}

const Engine& engine_of(const fastnst_model* model) { return *given(model, "the model")->engine; }

std::vector<uint8_t> read_file(const char* path) {
  const auto fail = [&](const char* why) { throw FileError(std::string(path) + ": " + why); };
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen(path, "rb"), std::fclose);
  if (!file) fail(std::strerror(errno));
  std::vector<uint8_t> data;
  uint8_t chunk[1 << 16];
  for (size_t got; (got = std::fread(chunk, 1, sizeof chunk, file.get())) > 0;) data.insert(data.end(), chunk, chunk + got);
  if (std::ferror(file.get()) != 0) fail(std::strerror(errno));
  return data;
}

RowIO io_of(const fastnst_rows& rows, bool writes, int threads) {
  check_size(rows.height, rows.width);
  given(rows.read, "the callback read");
  if (writes) given(rows.write, "the callback write");
  const auto go_on = [](int stop) {
    if (stop != 0) throw Stopped();
  };
  return {rows.height,
          rows.width,
          [=](int64_t first, int64_t count, uint8_t* rgb) { go_on(rows.read(rows.context, first, count, rgb)); },
          [=](const uint8_t* rgb, int64_t count) { go_on(rows.write(rows.context, rgb, count)); },
          [=](double part) {
            if (rows.tell != nullptr) go_on(rows.tell(rows.context, part));
          },
          threads};
}

}  // namespace
}  // namespace fastnst

using namespace fastnst;

const char* fastnst_error(void) { return last_error; }

const char* fastnst_version(void) { return FASTNST_VERSION; }

const char* fastnst_instruction_set(void) {
  const char* name = nullptr;
  guarded([&] { name = instruction_set().name; });
  return name;
}

fastnst_status fastnst_model_open(const char* path, fastnst_model** model) {
  return guarded([&] {
    given(model, "where the model goes");
    const std::vector<uint8_t> data = read_file(given(path, "the path"));
    try {
      *model = new fastnst_model{load_engine(data.data(), data.size())};
    } catch (const ModelError& error) {
      throw ModelError(std::string(path) + ": " + error.what());
    }
  });
}

fastnst_status fastnst_model_load(const void* data, size_t size, fastnst_model** model) {
  return guarded([&] {
    given(model, "where the model goes");
    *model = new fastnst_model{load_engine(static_cast<const uint8_t*>(given(data, "the model's data")), size)};
  });
}

void fastnst_model_free(fastnst_model* model) { delete model; }

fastnst_kind fastnst_model_kind(const fastnst_model* model) { return fastnst_kind(model->engine->kind()); }

const char* fastnst_model_card(const fastnst_model* model) { return model->engine->card().c_str(); }

size_t fastnst_model_levels(const fastnst_model* model, const int** levels) {
  if (levels != nullptr) *levels = model->engine->levels().data();
  return model->engine->levels().size();
}

size_t fastnst_model_styles(const fastnst_model* model) { return size_t(model->engine->styles()); }

fastnst_status fastnst_working_bytes(const fastnst_model* model, const fastnst_options* options, int64_t height, int64_t width,
                                     uint64_t* bytes) {
  return guarded([&] {
    check_size(height, width);
    const Settings wanted = checked(options);
    *given(bytes, "where the number goes") = engine_of(model).working_bytes(height, width, wanted.levels, wanted.threads);
  });
}

fastnst_status fastnst_style_encode(const fastnst_model* model, const fastnst_options* options, const uint8_t* rgb,
                                    int64_t height, int64_t width, fastnst_style** style) {
  return guarded([&] {
    given(style, "where the style goes");
    check_size(height, width);
    *style = new fastnst_style{encode_style(engine_of(model), checked(options), given(rgb, "the picture"), height, width)};
  });
}

fastnst_status fastnst_style_encode_rows(const fastnst_model* model, const fastnst_options* options,
                                         const fastnst_rows* picture, fastnst_style** style) {
  return guarded([&] {
    given(style, "where the style goes");
    const Settings wanted = checked(options);
    const RowIO io = io_of(*given(picture, "the picture"), false, wanted.threads);
    *style = new fastnst_style{encode_style(engine_of(model), wanted, io)};
  });
}

fastnst_status fastnst_style_mix(size_t count, const fastnst_style* const* styles, const double* weights,
                                 fastnst_style** style) {
  return guarded([&] {
    given(style, "where the style goes");
    std::vector<const Style*> parts;
    for (size_t i = 0; i < count; i++) parts.push_back(&given(given(styles, "the list of styles")[i], "a style")->style);
    *style = new fastnst_style{
        mixed(parts, weights == nullptr ? std::vector<double>() : std::vector<double>(weights, weights + count))};
  });
}

void fastnst_style_free(fastnst_style* style) { delete style; }

fastnst_status fastnst_stylize(const fastnst_model* model, const fastnst_options* options, const fastnst_style* style,
                               const uint8_t* rgb, int64_t height, int64_t width, uint8_t* out) {
  return guarded([&] {
    check_size(height, width);
    Settings wanted = checked(options);
    const Style* rest = rest_of(style, wanted);
    stylize(engine_of(model), wanted, rest, given(rgb, "the content"), height, width, given(out, "where the picture goes"));
  });
}

fastnst_status fastnst_stylize_rows(const fastnst_model* model, const fastnst_options* options, const fastnst_style* style,
                                    const fastnst_rows* content) {
  return guarded([&] {
    Settings wanted = checked(options);
    const Style* rest = rest_of(style, wanted);
    const RowIO io = io_of(*given(content, "the content"), true, wanted.threads);
    stylize(engine_of(model), wanted, rest, io);
  });
}

fastnst_status fastnst_translate(const fastnst_model* model, const fastnst_options* options, const uint8_t* rgb, int64_t height,
                                 int64_t width, uint8_t* out) {
  return guarded([&] {
    check_size(height, width);
    translate(engine_of(model), checked(options), given(rgb, "the content"), height, width,
              given(out, "where the picture goes"));
  });
}

fastnst_status fastnst_translate_rows(const fastnst_model* model, const fastnst_options* options, const fastnst_rows* content) {
  return guarded([&] {
    const Settings wanted = checked(options);
    translate(engine_of(model), wanted, io_of(*given(content, "the content"), true, wanted.threads));
  });
}
