// The pictures of fastnst-stylize, in files or pipes.
#pragma once

#include <cstdint>
#include <cstdio>
#include <optional>
#include <string>

#include "base/pnm.h"
#include "stylize_options.h"

namespace fastnst {

// Something that failed, and in which file.
struct Failure {
  std::string text;
};

// What errors call a file: "-" is standard input.
std::string name_of(const std::string& path);

// A picture file that is read in rows. Throws Failure.
class Input {
 public:
  explicit Input(const std::string& path);
  ~Input();
  Input(const Input&) = delete;
  Input& operator=(const Input&) = delete;

  const PictureSize& size() const { return reader_->size(); }
  uint64_t pixels() const { return uint64_t(size().height) * uint64_t(size().width); }
  void read(int64_t rows, uint8_t* rgb, uint8_t* alpha);

 private:
  std::string path_;
  std::FILE* file_;
  std::optional<PnmReader> reader_;
};

// A picture file that is written in rows next to the target and then renamed, so that the target is complete or absent. There
// is one at a time. Throws Failure.
class Output {
 public:
  Output(const Options& options, const PictureSize& size);
  ~Output();
  Output(const Output&) = delete;
  Output& operator=(const Output&) = delete;

  void write(int64_t rows, const uint8_t* rgb, const uint8_t* alpha);
  void finish();

 private:
  [[noreturn]] void fail() const;

  const Options& options_;
  const PictureSize size_;
  std::FILE* file_ = nullptr;
  std::optional<PnmWriter> writer_;
};

// Ends the program at a signal, without what an Output has begun.
void interrupted(int);

}  // namespace fastnst
