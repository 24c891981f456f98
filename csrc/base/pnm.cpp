#include "base/pnm.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

namespace fastnst {
namespace {

constexpr int64_t kMaxSide = int64_t(1) << 24;  // that of the engine

[[noreturn]] void fail(const std::string& why) { throw PictureError(why); }

int next(std::FILE* file) {
  const int c = std::getc(file);
  if (c == EOF) fail("the picture is cut short in its header");
  return c;
}

bool is_space(int c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

// The next word of a P6 header, without comments; consumes exactly one character after it.
std::string word(std::FILE* file) {
  int c = next(file);
  while (is_space(c) || c == '#') {
    while (c == '#' && next(file) != '\n') {
    }
    c = next(file);
  }
  std::string text;
  for (; !is_space(c); c = next(file)) {
    text += char(c);
    if (text.size() > 20) fail("a word in the picture's header that is too long");
  }
  return text;
}

int64_t number(const std::string& text) {
  if (text.empty() || text.size() > 9 || text.find_first_not_of("0123456789") != std::string::npos)
    fail(std::string("'") + text.substr(0, 20) + "' in the picture's header where a number should be");
  return std::stoll(text);
}

std::string line(std::FILE* file) {
  std::string text;
  for (int c; (c = next(file)) != '\n';) {
    text += char(c);
    if (text.size() > 200) fail("a line in the picture's header that is too long");
  }
  return text;
}

// The first word of a line of a P7 header, and the rest without the white space around it.
std::pair<std::string, std::string> two_words(const std::string& text) {
  constexpr const char* kWhite = " \t";
  const size_t first = std::min(text.find_first_of(kWhite), text.size());
  const size_t second = std::min(text.find_first_not_of(kWhite, first), text.size());
  return {text.substr(0, first), text.substr(second, text.find_last_not_of(kWhite) + 1 - second)};
}

struct Header {
  int64_t width = 0, height = 0, depth = 0, maximum = 0;
};

Header read_pam_header(std::FILE* file) {
  Header header;
  for (std::string text = line(file); text != "ENDHDR"; text = line(file)) {
    if (text.empty() || text[0] == '#') continue;
    const auto [key, value] = two_words(text);
    if (key == "WIDTH") header.width = number(value);
    if (key == "HEIGHT") header.height = number(value);
    if (key == "DEPTH") header.depth = number(value);
    if (key == "MAXVAL") header.maximum = number(value);
  }
  return header;
}

Header read_header(std::FILE* file, bool& pam) {
  char magic[3] = {};
  if (std::fread(magic, 1, 3, file) != 3) fail(std::ferror(file) ? std::strerror(errno) : "empty, or too short for a picture");
  pam = std::memcmp(magic, "P7\n", 3) == 0;
  if (pam) return read_pam_header(file);
  const bool grey = magic[1] == '5';
  if (magic[0] != 'P' || !(grey || magic[1] == '6') || !is_space(magic[2]))
    fail("neither a binary PPM or PGM (P6, P5) nor a PAM (P7) picture");
  Header header;
  header.width = number(word(file)), header.height = number(word(file)), header.maximum = number(word(file));
  header.depth = grey ? 1 : 3;
  return header;
}

// A sample blended with white by its opacity, rounded as Pillow's Image.composite does.
uint8_t on_white(uint8_t sample, uint8_t opacity) { return uint8_t((sample * opacity + 255 * (255 - opacity) + 127) / 255); }

}  // namespace

PnmReader::PnmReader(std::FILE* file) : file_(file) {
  const Header header = read_header(file, size_.pam);
  if (header.width < 1 || header.height < 1) fail("a picture without pixels");
  if (header.width > kMaxSide || header.height > kMaxSide) fail("a side of more than " + std::to_string(kMaxSide) + " pixels");
  if (header.maximum != 255) fail("a maximum value other than 255");
  if (header.depth < 1 || header.depth > 4) fail("a depth other than 1 to 4");
  size_.width = header.width, size_.height = header.height, size_.alpha = header.depth % 2 == 0;
  row_.resize(size_t(header.width * header.depth));
}

void PnmReader::read(int64_t rows, uint8_t* rgb, uint8_t* alpha) {
  const size_t width = size_t(size_.width), depth = row_.size() / width;
  for (int64_t y = 0; y < rows; y++) {
    if (std::fread(row_.data(), 1, row_.size(), file_) != row_.size()) fail("the picture is cut short");
    const uint8_t* from = row_.data();
    for (size_t x = 0; x < width; x++, from += depth) {
      for (int c = 0; c < 3; c++) *rgb++ = from[depth < 3 ? 0 : c];
      if (size_.alpha) *alpha++ = from[depth - 1];
    }
  }
}

PnmWriter::PnmWriter(std::FILE* file, const PictureSize& size)
    : file_(file), size_(size), row_(size_t(size.width * (size.alpha && size.pam ? 4 : 3))) {
  const long long width = size.width, height = size.height;
  if (size.pam)
    std::fprintf(file, "P7\nWIDTH %lld\nHEIGHT %lld\nDEPTH %d\nMAXVAL 255\nTUPLTYPE %s\nENDHDR\n", width, height,
                 size.alpha ? 4 : 3, size.alpha ? "RGB_ALPHA" : "RGB");
  else
    std::fprintf(file, "P6\n%lld %lld\n255\n", width, height);
}

void PnmWriter::write(int64_t rows, const uint8_t* rgb, const uint8_t* alpha) {
  const size_t width = size_t(size_.width);
  for (int64_t y = 0; y < rows; y++, rgb += width * 3) {
    uint8_t* to = row_.data();
    for (size_t x = 0; size_.alpha && x < width; x++) {
      const uint8_t opacity = *alpha++;
      for (size_t c = 0; c < 3; c++) *to++ = size_.pam ? rgb[x * 3 + c] : on_white(rgb[x * 3 + c], opacity);
      if (size_.pam) *to++ = opacity;
    }
    if (std::fwrite(size_.alpha ? row_.data() : rgb, 1, row_.size(), file_) != row_.size())
      fail(std::string("cannot write: ") + std::strerror(errno));
  }
}

void PnmWriter::finish() {
  if (std::fflush(file_) != 0 || std::ferror(file_)) fail(std::string("cannot write: ") + std::strerror(errno));
}

}  // namespace fastnst
