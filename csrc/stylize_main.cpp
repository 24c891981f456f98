// fastnst-stylize: the engine without Python. Pictures are PPM or PAM, from files or pipes.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

#include "base/pnm.h"
#include "engine/adain.h"
#include "engine/generator.h"
#include "engine/wct.h"

namespace {

using namespace fastnst;

constexpr const char* kUsage =
    "usage: fastnst-stylize MODEL.fnst CONTENT [STYLE] -o OUT [--alpha A] [--levels L,L...] [--threads N] [--overwrite]\n"
    "  CONTENT, STYLE and OUT are binary PPM or PAM pictures; - is standard input or output.\n"
    "  A model that translates pictures by itself takes no STYLE, alpha or levels.\n"
    "  --levels chooses among the levels of a WCT model, such as 5,4,3,2,1; without it all that it has.\n";

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
  std::vector<int> levels;  // none = all that the model has
  int threads = int(std::max(1u, std::thread::hardware_concurrency()));
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
    else if (argument == "--levels")
      options.levels = parse_levels(argument, value());
    else if (argument == "--threads")
      options.threads = int(parse_number(argument, value(), 1, 1024));
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

Picture read_picture(const std::string& path) {
  std::FILE* file = path == "-" ? stdin : std::fopen(path.c_str(), "rb");
  if (file == nullptr) throw Failure{path + ": " + std::strerror(errno)};
  try {
    Picture picture = read_pnm(file);
    if (file != stdin) std::fclose(file);
    return picture;
  } catch (const PictureError& error) {
    if (file != stdin) std::fclose(file);
    throw Failure{(path == "-" ? "standard input" : path) + ": " + error.what()};
  }
}

std::string partial;  // of the output being written; removed by a signal

void interrupted(int) {
  if (!partial.empty()) unlink(partial.c_str());
  _exit(130);
}

// Writes next to the target and renames, so that the target is complete or absent.
void write_picture(const Options& options, const Picture& picture) {
  if (options.out == "-") return write_pnm(stdout, picture);
  const std::string temporary = options.out + "." + std::to_string(getpid()) + ".partial";
  std::FILE* file = std::fopen(temporary.c_str(), "wbx");
  if (file == nullptr) throw Failure{options.out + ": " + std::strerror(errno)};
  partial = temporary;
  try {
    write_pnm(file, picture);
  } catch (const PictureError& error) {
    std::fclose(file);
    unlink(temporary.c_str());
    throw Failure{options.out + ": " + error.what()};
  }
  const bool kept = fsync(fileno(file)) == 0;
  const bool closed = std::fclose(file) == 0;
  // Without --overwrite, link() refuses a target that has appeared meanwhile.
  const int placed =
      options.overwrite ? std::rename(temporary.c_str(), options.out.c_str()) : link(temporary.c_str(), options.out.c_str());
  const int error = errno;
  unlink(temporary.c_str());
  partial.clear();
  if (!kept || !closed || placed != 0) throw Failure{options.out + ": " + std::strerror(error)};
}

Model load_model(const std::string& path) {
  const std::vector<uint8_t> data = read_file(path);
  try {
    return read_model(data.data(), data.size());
  } catch (const ModelError& error) {
    throw Failure{path + ": " + error.what()};
  }
}

// All put the result in the place of `content`.
void run_generator(const Model& model, Picture& content, const Options& options) {
  if (!options.style.empty() || !options.levels.empty() || options.alpha != 1)
    throw Usage{options.model + " translates pictures by itself: it takes no style, alpha or levels"};
  const std::vector<uint8_t> source = content.rgb;
  GeneratorEngine(model).translate(source.data(), content.height, content.width, content.rgb.data(), options.threads);
}

void run_adain(const Model& model, const Picture& style, Picture& content, const Options& options) {
  if (!options.levels.empty()) throw Failure{options.model + ": levels are WCT's to choose; this is an AdaIN model"};
  const AdainEngine engine(model);
  const Look look = engine.encode(style.rgb.data(), style.height, style.width, options.threads).look;
  const Features features = engine.encode(content.rgb.data(), content.height, content.width, options.threads);
  engine.decode(features, look, options.alpha, content.rgb.data(), options.threads);
}

void run_wct(const Model& model, const Picture& style, Picture& content, const Options& options) {
  const WctEngine engine(model);
  const std::vector<int>& levels = options.levels.empty() ? engine.levels() : options.levels;
  const std::vector<Coloring> look = engine.look(style.rgb.data(), style.height, style.width, levels, options.threads);
  const WctFeatures features = engine.encode(content.rgb.data(), content.height, content.width, levels, options.threads);
  engine.decode(features, look, options.alpha, content.rgb.data(), options.threads);
}

void stylize(const Options& options) {
  if (options.out != "-" && !options.overwrite && access(options.out.c_str(), F_OK) == 0)
    throw Failure{options.out + ": exists already (--overwrite replaces it)"};
  const Model model = load_model(options.model);
  const bool translates = model.kind == Kind::generator;
  if (!translates && options.style.empty()) throw Usage{options.model + " needs a style"};
  const Picture style = options.style.empty() ? Picture{} : read_picture(options.style);
  Picture content = read_picture(options.content);
  if (translates)
    run_generator(model, content, options);
  else
    (model.kind == Kind::wct ? run_wct : run_adain)(model, style, content, options);
  write_picture(options, content);
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
