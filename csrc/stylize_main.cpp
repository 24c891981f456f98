// fastnst-stylize: the engine without Python. Pictures are PPM, PGM or PAM, from files or pipes.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "base/hidden.h"
#include "base/memory.h"
#include "base/picture_spool.h"
#include "base/pnm.h"
#include "engine/adain.h"
#include "engine/generator.h"
#include "engine/palette.h"
#include "engine/wct.h"
#include "stylize_options.h"

namespace {

using namespace fastnst;

// Something that failed, and in which file.
struct Failure {
  std::string text;
};

std::vector<uint8_t> read_file(const std::string& path) {
  std::FILE* file = std::fopen(path.c_str(), "rb");
  if (file == nullptr) throw Failure{path + ": " + std::strerror(errno)};
  std::vector<uint8_t> data;
  uint8_t chunk[1 << 16];
  for (size_t got; (got = std::fread(chunk, 1, sizeof chunk, file)) > 0;) data.insert(data.end(), chunk, chunk + got);
  const bool failed = std::ferror(file) != 0;
  const int reason = errno;
  std::fclose(file);
  if (failed) throw Failure{path + ": " + std::strerror(reason)};
  return data;
}

std::string name_of(const std::string& path) { return path == "-" ? "standard input" : path; }

// A picture file that is read in rows.
class Input {
 public:
  explicit Input(const std::string& path) : path_(path), file_(path == "-" ? stdin : std::fopen(path.c_str(), "rb")) {
    if (file_ == nullptr) throw Failure{path + ": " + std::strerror(errno)};
    named([&] { reader_.emplace(file_); });
  }
  ~Input() {
    if (file_ != nullptr && file_ != stdin) std::fclose(file_);
  }
  Input(const Input&) = delete;
  Input& operator=(const Input&) = delete;

  const PictureSize& size() const { return reader_->size(); }
  uint64_t pixels() const { return uint64_t(size().height) * uint64_t(size().width); }
  void read(int64_t rows, uint8_t* rgb, uint8_t* alpha) {
    named([&] { reader_->read(rows, rgb, alpha); });
  }

 private:
  template <typename Work>
  void named(Work&& work) const {
    try {
      work();
    } catch (const PictureError& error) {
      throw Failure{name_of(path_) + ": " + error.what()};
    }
  }

  std::string path_;
  std::FILE* file_;
  std::optional<PnmReader> reader_;
};

std::string partial;  // of the output being written; removed by a signal

void interrupted(int) {
  if (!partial.empty()) unlink(partial.c_str());
  _exit(130);
}

// In the format that the output's name ends in, or else in the content's; a PPM has no transparency.
PictureSize in_format_of(const std::string& path, PictureSize size) {
  std::string end = path.substr(path.size() - std::min<size_t>(path.size(), 4));
  for (char& c : end) c = char(std::tolower(static_cast<unsigned char>(c)));
  size.pam = end == ".pam" || (end != ".ppm" && (size.pam || size.alpha));
  return size;
}

// A picture file that is written in rows next to the target and then renamed, so that the target is complete or absent.
class Output {
 public:
  Output(const Options& options, const PictureSize& size) : options_(options) {
    if (options.out == "-") {
      file_ = stdout;
    } else {
      partial = options.out + "." + std::to_string(getpid()) + ".partial";
      file_ = std::fopen(partial.c_str(), "wbx");
      if (file_ == nullptr) {
        partial.clear();
        fail();
      }
    }
    writer_.emplace(file_, in_format_of(options.out, size));
  }
  ~Output() {
    if (partial.empty()) return;
    if (file_ != nullptr) std::fclose(file_);
    unlink(partial.c_str());
  }
  Output(const Output&) = delete;
  Output& operator=(const Output&) = delete;

  void write(int64_t rows, const uint8_t* rgb, const uint8_t* alpha) {
    named([&] { writer_->write(rows, rgb, alpha); });
  }
  void finish() {
    named([&] { writer_->finish(); });
    if (file_ == stdout) return;
    const bool kept = fsync(fileno(file_)) == 0;
    const bool closed = std::fclose(std::exchange(file_, nullptr)) == 0;
    // Without --overwrite, link() refuses a target that has appeared meanwhile.
    const int placed =
        options_.overwrite ? std::rename(partial.c_str(), options_.out.c_str()) : link(partial.c_str(), options_.out.c_str());
    if (!kept || !closed || placed != 0) fail();
    unlink(partial.c_str());
    partial.clear();
  }

 private:
  [[noreturn]] void fail() const { throw Failure{options_.out + ": " + std::strerror(errno)}; }
  template <typename Work>
  void named(Work&& work) const {
    try {
      work();
    } catch (const PictureError& error) {
      throw Failure{(options_.out == "-" ? "standard output" : options_.out) + ": " + error.what()};
    }
  }

  const Options& options_;
  std::FILE* file_ = nullptr;
  std::optional<PnmWriter> writer_;
};

Model load_model(const std::string& path) {
  const std::vector<uint8_t> data = read_file(path);
  try {
    return read_model(data.data(), data.size());
  } catch (const ModelError& error) {
    throw Failure{path + ": " + error.what()};
  }
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

// A picture read whole and put aside.
std::unique_ptr<PictureSpool> spooled(const Options& options, Input& input) {
  const uint64_t bytes = input.pixels() * (input.size().alpha ? 4 : 3);
  return std::make_unique<PictureSpool>(input.size(), aside(options, bytes, input.pixels()),
                                        [&](uint8_t* rgb, uint8_t* alpha) { input.read(1, rgb, alpha); });
}

// A style, which WCT reads once for every level.
class Style {
 public:
  Style(const Options& options) : options_(options), input_(options.style), rows_(spooled(options, input_)) {
    std::vector<uint8_t> row(3 * size_t(input_.size().width));
    for (int64_t y = 0; y < input_.size().height; y++) {
      rows_->read(y, 1, row.data());
      sums_.add(row.data(), input_.size().width, 1);
    }
  }

  Passage passage() const {
    return {input_.size().height,
            input_.size().width,
            [this](int64_t first, int64_t count, uint8_t* rows) { rows_->read(first, count, rows); },
            [](const uint8_t*, int64_t) {},
            [](double) {},
            options_.threads};
  }
  uint64_t budget() const { return ::budget(options_, input_.pixels()); }
  Colors colors() const { return sums_.colors(); }

 private:
  const Options& options_;
  Input input_;
  std::unique_ptr<PictureSpool> rows_;
  ColorSums sums_;
};

void run_generator(const Model& model, const Options& options) {
  if (!options.style.empty() || !options.levels.empty() || options.alpha != 1 || options.palette)
    throw Usage{options.model + " translates pictures by itself: it takes no style, alpha, palette or levels"};
  const GeneratorEngine engine(model);
  Input content(options.content);
  const auto [height, width, has_alpha, pam] = content.size();
  if (options.max_memory > 0 && engine.working_bytes(height, width, options.threads) > options.max_memory)
    throw Failure{options.content + ": a generator cannot be run in tiles, and this picture takes more memory"};
  std::vector<uint8_t> source(content.pixels() * 3), target(source.size()), alpha(has_alpha ? content.pixels() : 0);
  content.read(height, source.data(), alpha.data());
  if (has_alpha) fill_hidden(source.data(), alpha.data(), height, width);
  engine.translate(source.data(), height, width, target.data(), options.threads);
  Output out(options, content.size());
  out.write(height, target.data(), alpha.data());
  out.finish();
}

// Calls work(passage) for the content with the palette step behind it.
template <typename Work>
void with_palette(const Options& options, const Passage& content, const Colors& style, Work&& work) {
  const double strength = options.alpha * options.palette.value_or(1);
  if (strength == 0) return work(content);
  const uint64_t pixels = uint64_t(content.height) * uint64_t(content.width);
  Recoloring recoloring(content, style, strength, aside(options, 3 * pixels, pixels));
  work(recoloring.before());
  recoloring.finish();
}

// Stylizes the content by work(passage, budget).
template <typename Work>
void run_content(const Options& options, Work&& work) {
  Input content(options.content);
  const auto [height, width, has_alpha, pam] = content.size();
  Output out(options, content.size());
  const auto kept = has_alpha ? spooled(options, content) : nullptr;  // for filling takes a second pass
  std::vector<uint8_t> line(has_alpha ? size_t(width) : 0);
  int64_t written = 0;
  const auto read = [&](int64_t first, int64_t count, uint8_t* rows) {
    if (kept)
      kept->read(first, count, rows);
    else
      content.read(count, rows, nullptr);
  };
  const auto write = [&, width = width](const uint8_t* rows, int64_t count) {
    for (int64_t y = 0; y < count; y++) {
      if (kept) kept->read_alpha(written + y, 1, line.data());
      out.write(1, rows + y * width * 3, line.data());
    }
    written += count;
  };
  work(Passage{height, width, read, write, [](double) {}, options.threads}, budget(options, content.pixels()));
  out.finish();
}

void run_adain(const Model& model, const Options& options) {
  if (!options.levels.empty()) throw Failure{options.model + ": levels are WCT's to choose; this is an AdaIN model"};
  const AdainEngine engine(model);
  const auto tiling = [&](const Passage& picture, uint64_t bytes, bool decodes) {
    return engine.tiling(picture.height, picture.width, options.threads, bytes, decodes);
  };
  const auto [look, colors] = [&] {
    const Style style(options);
    const Passage passage = style.passage();
    return std::pair{engine.look(passage, tiling(passage, style.budget(), false)), style.colors()};
  }();
  run_content(options, [&, &look = look, &colors = colors](const Passage& content, uint64_t bytes) {
    with_palette(options, content, colors, [&](const Passage& passage) {
      engine.stylize(passage, look, options.alpha, tiling(passage, bytes, true), folder_of(options));
    });
  });
}

void run_wct(const Model& model, const Options& options) {
  const WctEngine engine(model);
  const std::vector<int>& levels = options.levels.empty() ? engine.levels() : options.levels;
  const auto tiling = [&](const Passage& picture, uint64_t bytes, bool decodes) {
    return engine.tiling(picture.height, picture.width, levels, options.threads, bytes, decodes);
  };
  const auto [look, colors] = [&] {
    const Style style(options);
    const Passage passage = style.passage();
    return std::pair{engine.look(passage, levels, tiling(passage, style.budget(), false)), style.colors()};
  }();
  run_content(options, [&, &look = look, &colors = colors](const Passage& content, uint64_t bytes) {
    with_palette(options, content, colors, [&](const Passage& passage) {
      engine.stylize(passage, levels, look, options.alpha, tiling(passage, bytes, true), folder_of(options));
    });
  });
}

void stylize(const Options& options) {
  if (options.out != "-" && !options.overwrite && access(options.out.c_str(), F_OK) == 0)
    throw Failure{options.out + ": exists already (--overwrite replaces it)"};
  const Model model = load_model(options.model);
  const bool translates = model.kind == Kind::generator;
  if (!translates && options.style.empty()) throw Usage{options.model + " needs a style"};
  (translates ? run_generator : model.kind == Kind::wct ? run_wct : run_adain)(model, options);
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
