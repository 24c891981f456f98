// 8-bit PPM (P6), PGM (P5) and PAM (P7) pictures from and to streams.
#pragma once

#include <cstdint>
#include <cstdio>
#include <stdexcept>
#include <string>
#include <vector>

namespace fastnst {

// A picture that these functions cannot read, or one that is cut short. The message is one line.
class PictureError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

struct PictureSize {
  int64_t height = 0, width = 0;
  bool alpha = false;
  bool pam = false;  // or else PPM or PGM
};

// Reads one picture row by row: P6, P5, or P7 with depth 1 (grey), 2 (grey, alpha), 3 (RGB) or 4 (RGB, alpha); maximum value
// 255.
class PnmReader {
 public:
  // Reads the header. Throws PictureError.
  explicit PnmReader(std::FILE* file);
  const PictureSize& size() const { return size_; }
  // Reads the next rows, of width x 3 bytes, and their alpha if there is any, of `width` bytes. Throws PictureError.
  void read(int64_t rows, uint8_t* rgb, uint8_t* alpha);

 private:
  std::FILE* file_;
  PictureSize size_;
  std::vector<uint8_t> row_;
};

// Writes P7, or P6, in which a picture with alpha is blended with white.
class PnmWriter {
 public:
  PnmWriter(std::FILE* file, const PictureSize& size);
  // Writes the next rows, of the same shapes. Throws PictureError.
  void write(int64_t rows, const uint8_t* rgb, const uint8_t* alpha);
  void finish();

 private:
  std::FILE* file_;
  PictureSize size_;
  std::vector<uint8_t> row_;
};

}  // namespace fastnst
