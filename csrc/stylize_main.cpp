// fastnst-stylize: the engine without Python. Pictures are PPM or PAM, from files or pipes.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "base/memory.h"
#include "base/pnm.h"
#include "base/spool.h"
#include "engine/adain.h"
#include "engine/generator.h"
#include "engine/palette.h"
#include "engine/wct.h"

namespace {

using namespace fastnst;

constexpr const char* kUsage =
    "usage: fastnst-stylize MODEL.fnst CONTENT [STYLE] -o OUT [--alpha A] [--palette P] [--levels L,L...]\n"
    "                       [--threads N] [--max-memory BYTES] [--overwrite]\n"
    "  CONTENT, STYLE and OUT are binary PPM or PAM pictures; - is standard input or output.\n"
    "  A model that translates pictures by itself takes no STYLE, alpha, palette or levels.\n"
    "  --palette: how far colours are moved to the style's, 0 = as the network makes them, 1 = all the way (default).\n"
    "  --levels chooses among the levels of a WCT model, such as 5,4,3,2,1; without it all that it has.\n"
    "  --max-memory, such as 512M or 2G: larger pictures are done in tiles, with the same pixels; default: 12 bytes for each\n"
    "  pixel, at least 64M, at most a quarter of the machine's.\n";

// Something that failed, and in which file.
struct Failure {
  std::string text;
};

struct Usage {
  std::string text;
};

struct Options {
  std::string model, content, style, out;
  double alpha = 1;
  std::optional<double> palette;  // 1 where it is not given
  std::vector<int> levels;        // none = all that the model has
  int threads = int(std::max(1u, std::thread::hardware_concurrency()));
  uint64_t max_memory = 0;  // 0 = see budget()
  bool overwrite = false;
};

double parse_number(const std::string& flag, const std::string& text, double low, double high) {
  char* end = nullptr;
  const double value = std::strtod(text.c_str(), &end);
  if (text.empty() || *end != 0 || !(value >= low && value <= high))
    throw Usage{flag + " takes a number from " + std::to_string(int(low)) + " to " + std::to_string(int(high)) + ", not '" +
                text + "'"};
  return value;
}

std::vector<int> parse_levels(const std::string& flag, const std::string& text) {
  std::vector<int> levels;
  for (size_t begin = 0; begin <= text.size();) {
    const size_t end = std::min(text.find(',', begin), text.size());
    const double level = parse_number(flag, text.substr(begin, end - begin), 1, 5);
    if (level != int(level)) throw Usage{flag + " takes whole numbers, not '" + text + "'"};
    levels.push_back(int(level));
    begin = end + 1;
  }
  return levels;
}

uint64_t bytes_of(const std::string& flag, const std::string& text) {
  try {
    return parse_bytes(text);
  } catch (const std::invalid_argument& error) {
    throw Usage{flag + ": " + error.what()};
  }
}

Options parse(int count, char** arguments) {
  Options options;
  std::string* const places[] = {&options.model, &options.content, &options.style};
  int placed = 0;
  for (int i = 1; i < count; i++) {
    const std::string argument = arguments[i];
    const auto value = [&]() -> std::string {
      if (i + 1 >= count) throw Usage{argument + " needs a value"};
      return arguments[++i];
    };
    if (argument == "-o")
      options.out = value();
    else if (argument == "--alpha")
      options.alpha = parse_number(argument, value(), 0, 1);
    else if (argument == "--palette")
      options.palette = parse_number(argument, value(), 0, 1);
    else if (argument == "--levels")
      options.levels = parse_levels(argument, value());
    else if (argument == "--threads")
      options.threads = int(parse_number(argument, value(), 1, 1024));
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
  }
  if (placed < 2 || options.out.empty()) throw Usage{"a model, a content, a style where it takes one, and -o OUT are needed"};
  if (options.content == "-" && options.style == "-") throw Usage{"content and style cannot both be standard input"};
  return options;
}

std::vector<uint8_t> read_file(const std::string& path) {
  std::FILE* file = std::fopen(path.c_str(), "rb");
  if (file == nullptr) throw Failure{path + ": " + std::strerror(errno)};
  std::vector<uint8_t> data;
  uint8_t chunk[1 << 16];
  for (size_t got; (got = std::fread(chunk, 1, sizeof chunk, file)) > 0;) data.insert(data.end(), chunk, chunk + got);
  const bool failed = std::ferror(file) != 0;
  std::fclose(file);
  if (failed) throw Failure{path + ": cannot be read"};
  return data;
}

std::string name_of(const std::string& path) { return path == "-" ? "standard input" : path; }

// A picture file that is read in rows; a picture without transparency.
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
    writer_.emplace(file_, size);
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

// Bytes that are put aside beside the engine's: in memory if they are a small part of the budget.
Spool aside(const Options& options, uint64_t bytes, uint64_t pixels) {
  return Spool(bytes, bytes <= budget(options, pixels) / 8 ? "" : folder_of(options));
}

// A style, which WCT reads once for every level.
class Style {
 public:
  Style(const Options& options)
      : options_(options), input_(options.style), rows_(aside(options, 3 * input_.pixels(), input_.pixels())) {
    const int64_t width = input_.size().width;
    std::vector<uint8_t> row(3 * size_t(width)), alpha(row.size() / 3);
    for (int64_t y = 0; y < input_.size().height; y++) {
      input_.read(1, row.data(), alpha.data());
      sums_.add(row.data(), width, 1);
      rows_.write(uint64_t(y * width * 3), row.data(), row.size());
    }
  }

  Passage passage() const {
    const int64_t row = input_.size().width * 3;
    return {input_.size().height,
            input_.size().width,
            [this, row](int64_t first, int64_t count, uint8_t* rows) {
              rows_.read(uint64_t(first * row), rows, uint64_t(count * row));
            },
            [](const uint8_t*, int64_t) {},
            [](double) {},
            options_.threads};
  }
  uint64_t budget() const { return ::budget(options_, input_.pixels()); }
  Colors colors() const { return sums_.colors(); }

 private:
  const Options& options_;
  Input input_;
  Spool rows_;
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
  const bool in_memory = 3 * pixels <= budget(options, pixels) / 8;
  Recoloring recoloring(content, style, strength, in_memory ? "" : folder_of(options));
  work(recoloring.before());
  recoloring.finish();
}

// Stylizes the content by work(passage, budget).
template <typename Work>
void run_content(const Options& options, Work&& work) {
  Input content(options.content);
  const auto [height, width, has_alpha, pam] = content.size();
  Output out(options, content.size());
  Spool alpha = aside(options, has_alpha ? content.pixels() : 0, content.pixels());
  std::vector<uint8_t> line(has_alpha ? size_t(width) : 0);
  int64_t written = 0;
  const auto read = [&, width = width](int64_t first, int64_t count, uint8_t* rows) {
    for (int64_t y = 0; y < count; y++) {
      content.read(1, rows + y * width * 3, line.data());
      if (!line.empty()) alpha.write(uint64_t((first + y) * width), line.data(), line.size());
    }
  };
  const auto write = [&, width = width](const uint8_t* rows, int64_t count) {
    for (int64_t y = 0; y < count; y++) {
      if (!line.empty()) alpha.read(uint64_t((written + y) * width), line.data(), line.size());
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
    stylize(parse(count, arguments));
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
