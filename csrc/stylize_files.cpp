#include "stylize_files.h"

#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <cstring>
#include <utility>

namespace fastnst {
namespace {

std::string partial;  // of the output being written; removed by a signal

// In the format that the output's name ends in, or else in the content's; a PPM has no transparency.
PictureSize in_format_of(const std::string& path, PictureSize size) {
  std::string end = path.substr(path.size() - std::min<size_t>(path.size(), 4));
  for (char& c : end) c = char(std::tolower(static_cast<unsigned char>(c)));
  size.pam = end == ".pam" || (end != ".ppm" && (size.pam || size.alpha));
  return size;
}

// Calls work(), whose errors are those of this file.
template <typename Work>
void named(const std::string& name, Work&& work) {
  try {
    work();
  } catch (const PictureError& error) {
    throw Failure{name + ": " + error.what()};
  }
}

std::string target_name(const Options& options) { return options.out == "-" ? "standard output" : options.out; }

}  // namespace

std::string name_of(const std::string& path) { return path == "-" ? "standard input" : path; }

Input::Input(const std::string& path) : path_(path), file_(path == "-" ? stdin : std::fopen(path.c_str(), "rb")) {
  if (file_ == nullptr) throw Failure{path + ": " + std::strerror(errno)};
  named(name_of(path_), [&] { reader_.emplace(file_); });
}

Input::~Input() {
  if (file_ != nullptr && file_ != stdin) std::fclose(file_);
}

void Input::read(int64_t rows, uint8_t* rgb, uint8_t* alpha) {
  named(name_of(path_), [&] { reader_->read(rows, rgb, alpha); });
}

Output::Output(const Options& options, const PictureSize& size) : options_(options), size_(in_format_of(options.out, size)) {
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
}

Output::~Output() {
  if (partial.empty()) return;
  if (file_ != nullptr) std::fclose(file_);
  unlink(partial.c_str());
}

void Output::write(int64_t rows, const uint8_t* rgb, const uint8_t* alpha) {
  named(target_name(options_), [&] {
    if (!writer_) writer_.emplace(file_, size_);  // not before: a picture that is refused leaves nothing in a pipe
    writer_->write(rows, rgb, alpha);
  });
}

void Output::finish() {
  named(target_name(options_), [&] { writer_->finish(); });
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

void Output::fail() const { throw Failure{options_.out + ": " + std::strerror(errno)}; }

void interrupted(int) {
  if (!partial.empty()) unlink(partial.c_str());
  _exit(130);
}

}  // namespace fastnst
