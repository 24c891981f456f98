#include "base/pnm.h"

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace fastnst {
namespace {

constexpr int64_t kMaxPixels = 100'000'000;  // as the Python way: larger pictures are not meant to be held in memory

[[noreturn]] void fail(const std::string& why) { throw PictureError(why); }

int next(std::FILE* file) {
  const int c = std::getc(file);
  if (c == EOF) fail("the picture is cut short in its header");
  return c;
}

bool is_space(int c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

// The next word of a P6 header, comments skipped; takes exactly one character after it.
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

struct Header {
  int64_t width = 0, height = 0, depth = 0, maximum = 0;
};

Header read_pam_header(std::FILE* file) {
  Header header;
  for (std::string text = line(file); text != "ENDHDR"; text = line(file)) {
    if (text.empty() || text[0] == '#') continue;
    const size_t space = text.find(' ');
    const std::string key = text.substr(0, space), value = space == std::string::npos ? "" : text.substr(space + 1);
    if (key == "WIDTH") header.width = number(value);
    if (key == "HEIGHT") header.height = number(value);
    if (key == "DEPTH") header.depth = number(value);
    if (key == "MAXVAL") header.maximum = number(value);
  }
  return header;
}

Header read_header(std::FILE* file, bool& pam) {
  char magic[3] = {};
  if (std::fread(magic, 1, 3, file) != 3) fail("empty, or too short for a picture");
  pam = std::memcmp(magic, "P7\n", 3) == 0;
  if (pam) return read_pam_header(file);
  if (std::memcmp(magic, "P6", 2) != 0 || !is_space(magic[2])) fail("neither a binary PPM (P6) nor a PAM (P7) picture");
  Header header;
  header.width = number(word(file)), header.height = number(word(file)), header.maximum = number(word(file));
  header.depth = 3;
  return header;
}

}  // namespace

Picture read_pnm(std::FILE* file) {
  Picture picture;
  const Header header = read_header(file, picture.pam);
  if (header.width < 1 || header.height < 1) fail("a picture without pixels");
  if (header.width > kMaxPixels / header.height) fail("more than " + std::to_string(kMaxPixels) + " pixels");
  if (header.maximum != 255) fail("a maximum value other than 255");
  if (header.depth < 1 || header.depth > 4) fail("a depth other than 1 to 4");
  picture.width = header.width, picture.height = header.height;
  const size_t count = size_t(header.width * header.height), depth = size_t(header.depth);
  const bool grey = depth < 3, alpha = depth % 2 == 0;
  std::vector<uint8_t> row(header.width * depth);
  for (int64_t y = 0; y < header.height; y++) {
    if (std::fread(row.data(), 1, row.size(), file) != row.size()) fail("the picture is cut short");
    if (y == 0) {  // only once there are pixels: a header alone should not make us allocate a picture
      picture.rgb.resize(count * 3);
      picture.alpha.resize(alpha ? count : 0);
    }
    for (int64_t x = 0; x < header.width; x++) {
      const uint8_t* from = row.data() + x * depth;
      const size_t at = size_t(y * header.width + x);
      for (int c = 0; c < 3; c++) picture.rgb[at * 3 + c] = from[grey ? 0 : c];
      if (alpha) picture.alpha[at] = from[depth - 1];
    }
  }
  return picture;
}

void write_pnm(std::FILE* file, const Picture& picture) {
  const long long width = picture.width, height = picture.height;
  const bool alpha = !picture.alpha.empty();
  if (picture.pam || alpha)
    std::fprintf(file, "P7\nWIDTH %lld\nHEIGHT %lld\nDEPTH %d\nMAXVAL 255\nTUPLTYPE %s\nENDHDR\n", width, height, alpha ? 4 : 3,
                 alpha ? "RGB_ALPHA" : "RGB");
  else
    std::fprintf(file, "P6\n%lld %lld\n255\n", width, height);
  if (!alpha) {
    std::fwrite(picture.rgb.data(), 1, picture.rgb.size(), file);
  } else {
    std::vector<uint8_t> row(size_t(width) * 4);
    for (int64_t y = 0; y < height; y++) {
      for (int64_t x = 0; x < width; x++) {
        const size_t at = size_t(y * width + x);
        std::copy_n(&picture.rgb[at * 3], 3, &row[size_t(x) * 4]);
        row[size_t(x) * 4 + 3] = picture.alpha[at];
      }
      std::fwrite(row.data(), 1, row.size(), file);
    }
  }
  if (std::fflush(file) != 0 || std::ferror(file)) fail(std::string("cannot write: ") + std::strerror(errno));
}

}  // namespace fastnst
