// Pictures and what is done with them, for programs that torture the engine.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "base/pnm.h"
#include "base/sha256.h"
#include "engine/engine.h"
#include "engine/palette.h"

namespace fastnst {

struct Picture {
  int64_t height = 0, width = 0;
  std::vector<uint8_t> rgb, alpha{};  // height x width x 3, and height x width or none
};

// A PPM or PAM; what it says of its size is believed only as far as there are rows.
inline Picture read_picture(std::FILE* file) {
  PnmReader reader(file);
  Picture picture{reader.size().height, reader.size().width, {}, {}};
  std::vector<uint8_t> row(size_t(picture.width) * 3), alpha(size_t(picture.width));
  for (int64_t y = 0; y < picture.height; y++) {
    reader.read(1, row.data(), alpha.data());
    picture.rgb.insert(picture.rgb.end(), row.begin(), row.end());
    if (reader.size().alpha) picture.alpha.insert(picture.alpha.end(), alpha.begin(), alpha.end());
  }
  return picture;
}

using File = std::unique_ptr<std::FILE, int (*)(std::FILE*)>;

inline File in_memory(const void* data, size_t size) {
  File file(fmemopen(const_cast<void*>(data), size, "rb"), std::fclose);
  if (!file) throw std::logic_error("fmemopen");
  return file;
}

// A picture after it has been written and read again.
inline Picture rewritten(const Picture& picture, bool pam) {
  char* data = nullptr;
  size_t size = 0;
  {
    const File file(open_memstream(&data, &size), std::fclose);
    if (!file) throw std::logic_error("open_memstream");
    PnmWriter writer(file.get(), {picture.height, picture.width, !picture.alpha.empty(), pam});
    writer.write(picture.height, picture.rgb.data(), picture.alpha.data());
    writer.finish();
  }
  const std::unique_ptr<char, void (*)(void*)> owner(data, std::free);
  return read_picture(in_memory(data, size).get());
}

inline Colors colors_of(const Picture& picture, int threads) {
  ColorSums sums;
  sums.add(picture.rgb.data(), picture.height * picture.width, threads);
  return sums.colors();
}

// Height x width x 3, as the content, with its palette; a generator takes no notice of style and alpha.
inline std::vector<uint8_t> stylize(const Engine& engine, const Picture& content, const Picture& style, double alpha,
                                    int threads) {
  Picture out{content.height, content.width, std::vector<uint8_t>(content.rgb.size()), {}};
  const uint8_t *from = content.rgb.data(), *look = style.rgb.data();
  if (engine.kind() == Kind::generator) {
    const std::vector<double> styles(size_t(engine.styles()), 0.5);
    engine.translate(from, content.height, content.width, styles, out.rgb.data(), threads);
    return out.rgb;
  }
  engine.decode(engine.encode(from, content.height, content.width, {}, threads),
                {engine.look(look, style.height, style.width, {}, threads), alpha, nullptr, {}}, out.rgb.data(), threads);
  map_colors(color_map(colors_of(out, threads), colors_of(style, threads), alpha), out.rgb.data(),
             content.height * content.width, threads);
  return out.rgb;
}

// The same in tiles, with the least memory that it can be done with.
inline std::vector<uint8_t> in_tiles(const Engine& engine, const Picture& content, const Picture& style, double alpha,
                                     int threads) {
  std::vector<uint8_t> out;
  out.reserve(content.rgb.size());
  const auto row_io = [&](const Picture& picture) {
    return RowIO{
        picture.height,
        picture.width,
        [&picture](int64_t first, int64_t count, uint8_t* rows) {
          const auto from = picture.rgb.begin() + first * picture.width * 3;
          std::copy(from, from + count * picture.width * 3, rows);
        },
        [&out, &picture](const uint8_t* rows, int64_t count) { out.insert(out.end(), rows, rows + count * picture.width * 3); },
        [](double) {},
        threads};
  };
  const RowIO to = row_io(content), look = row_io(style);
  const auto tiling = [&](const RowIO& each, bool decodes) {  // with the least budget that there is one for
    for (uint64_t budget = 1 << 12;; budget *= 2) try {
        return engine.tiling(each.height, each.width, {}, threads, budget, decodes);
      } catch (const std::invalid_argument&) {
        if (budget >> 40) throw;
      }
  };
  if (engine.kind() == Kind::generator) {
    engine.translate(to, std::vector<double>(size_t(engine.styles()), 0.5), tiling(to, true), ".");
    return out;
  }
  PaletteStep palette({{colors_of(style, threads), alpha}}, nullptr, to.width);
  Recoloring recoloring(to, palette, ".");
  const RowIO from = recoloring.before();
  engine.stylize(from, {}, {engine.look(look, {}, tiling(look, false)), alpha, nullptr, {}}, tiling(from, true), ".");
  recoloring.finish();
  return out;
}

// Pixels that repeat nowhere soon: an integer hash of their place.
inline Picture noise(int64_t height, int64_t width) {
  Picture picture;
  picture.height = height, picture.width = width;
  for (uint32_t i = 0; i < uint32_t(height * width * 3); i++) picture.rgb.push_back(uint8_t((i * 2654435761u) >> 23));
  return picture;
}

// Reads a model out of bytes that nobody vouches for and, where there is one, stylizes a small picture. False if it is refused;
// anything but a refusal in one line is a finding, and leaves by another exception or a sanitizer.
inline bool survives_model(const uint8_t* data, size_t size) {
  if (sha256(data, size) != sha256(data, size, true)) throw std::logic_error("two checksums of one file");
  static const Picture content = noise(5, 7), style = noise(6, 4);
  try {
    const auto engine = load_engine(data, size);
    try {
      if (engine->working_bytes(content.height, content.width, {}, 1) > (64u << 20)) return true;
      if (stylize(*engine, content, style, 0.75, 1) != in_tiles(*engine, content, style, 0.75, 1))
        throw std::logic_error("tiles that differ from the whole");
    } catch (const std::invalid_argument&) {  // too small for what this model halves it to, or statistics that are not finite
    }
    return true;
  } catch (const ModelError& error) {
    const std::string message = error.what();
    if (message.empty() || message.find('\n') != std::string::npos) throw std::logic_error("a refusal that is not one line");
    return false;
  }
}

// The same for a PPM or PAM picture, which is written and read again.
inline bool survives_picture(const uint8_t* data, size_t size) {
  if (size == 0) return false;
  const File file = in_memory(data, size);
  Picture picture;
  try {
    picture = read_picture(file.get());
  } catch (const PictureError&) {
    return false;
  }
  if (picture.rgb.size() != size_t(picture.height * picture.width * 3)) throw std::logic_error("pixels are missing");
  for (const bool pam : {false, true}) {
    const Picture again = rewritten(picture, pam);
    const bool flattened = !pam && !picture.alpha.empty();  // a PPM shows it on white paper
    bool same = again.width == picture.width && again.rgb.size() == picture.rgb.size();
    for (size_t i = 0; same && i < picture.rgb.size(); i++)
      same = again.rgb[i] == picture.rgb[i] || (flattened && picture.alpha[i / 3] < 255);
    if (!same || again.alpha != (flattened ? decltype(picture.alpha){} : picture.alpha))
      throw std::logic_error("another picture after it was written");
  }
  return true;
}

}  // namespace fastnst
