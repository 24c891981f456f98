// One face for the engines of all kinds of model, for programs that torture them.
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
#include "engine/adain.h"
#include "engine/generator.h"
#include "engine/palette.h"
#include "engine/wct.h"

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

class AnyEngine {
 public:
  explicit AnyEngine(const Model& model) {
    if (model.kind == Kind::adain) adain_ = std::make_unique<AdainEngine>(model);
    if (model.kind == Kind::wct) wct_ = std::make_unique<WctEngine>(model);
    if (model.kind == Kind::generator) generator_ = std::make_unique<GeneratorEngine>(model);
  }

  uint64_t working_bytes(int64_t height, int64_t width, int threads) const {
    if (adain_) return adain_->working_bytes(height, width, threads);
    if (wct_) return wct_->working_bytes(height, width, wct_->levels(), threads);
    return generator_->working_bytes(height, width, threads);
  }

  // Height x width x 3, as the content, with its palette; a generator takes no notice of style and alpha.
  std::vector<uint8_t> stylize(const Picture& content, const Picture& style, double alpha, int threads) const {
    std::vector<uint8_t> out(content.rgb.size());
    const uint8_t *from = content.rgb.data(), *look = style.rgb.data();
    if (adain_) {
      const Look statistics = adain_->encode(look, style.height, style.width, threads).look;
      adain_->decode(adain_->encode(from, content.height, content.width, threads), statistics, alpha, out.data(), threads);
    } else if (wct_) {
      const std::vector<Coloring> coloring = wct_->look(look, style.height, style.width, wct_->levels(), threads);
      const WctFeatures features = wct_->encode(from, content.height, content.width, wct_->levels(), threads);
      wct_->decode(features, coloring, alpha, out.data(), threads);
    } else {
      generator_->translate(from, content.height, content.width, out.data(), threads);
      return out;
    }
    map_colors(color_map(colors(content.height * content.width, out.data(), threads), style_colors(style, threads), alpha),
               out.data(), content.height * content.width, threads);
    return out;
  }

  // The same in tiles, with the least memory that it can be done with; a generator has no tiles.
  std::vector<uint8_t> in_tiles(const Picture& content, const Picture& style, double alpha, int threads) const {
    if (generator_) return stylize(content, style, alpha, threads);
    std::vector<uint8_t> out;
    out.reserve(content.rgb.size());
    const auto passage = [&](const Picture& picture) {
      return Passage{picture.height,
                     picture.width,
                     [&picture](int64_t first, int64_t count, uint8_t* rows) {
                       const auto from = picture.rgb.begin() + first * picture.width * 3;
                       std::copy(from, from + count * picture.width * 3, rows);
                     },
                     [&out, &picture](const uint8_t* rows, int64_t count) {
                       out.insert(out.end(), rows, rows + count * picture.width * 3);
                     },
                     [](double) {},
                     threads};
    };
    const Passage to = passage(content), look = passage(style);
    Recoloring recoloring(to, style_colors(style, threads), alpha, ".");
    const Passage from = recoloring.before();
    const auto all = [&](auto&& tiling) {  // of each picture with the least budget that there is a tiling for
      for (uint64_t budget = 1 << 12;; budget *= 2) try {
          return tiling(budget);
        } catch (const std::invalid_argument&) {
          if (budget >> 40) throw;
        }
    };
    if (adain_) {
      const auto tiling = [&](const Passage& each, bool decodes) {
        return all([&](uint64_t budget) { return adain_->tiling(each.height, each.width, threads, budget, decodes); });
      };
      adain_->stylize(from, adain_->look(look, tiling(look, false)), alpha, tiling(from, true), ".");
    } else {
      const std::vector<int>& levels = wct_->levels();
      const auto tiling = [&](const Passage& each, bool decodes) {
        return all([&](uint64_t budget) { return wct_->tiling(each.height, each.width, levels, threads, budget, decodes); });
      };
      wct_->stylize(from, levels, wct_->look(look, levels, tiling(look, false)), alpha, tiling(from, true), ".");
    }
    recoloring.finish();
    return out;
  }

 private:
  static Colors colors(int64_t pixels, const uint8_t* rgb, int threads) {
    ColorSums sums;
    sums.add(rgb, pixels, threads);
    return sums.colors();
  }
  static Colors style_colors(const Picture& style, int threads) {
    return colors(style.height * style.width, style.rgb.data(), threads);
  }

  std::unique_ptr<AdainEngine> adain_;
  std::unique_ptr<WctEngine> wct_;
  std::unique_ptr<GeneratorEngine> generator_;
};

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
    const Model model = read_model(data, size);
    const AnyEngine engine(model);
    try {
      if (engine.working_bytes(content.height, content.width, 1) > (64u << 20)) return true;
      if (engine.stylize(content, style, 0.75, 1) != engine.in_tiles(content, style, 0.75, 1))
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
    if (again.width != picture.width || again.rgb != picture.rgb || again.alpha != picture.alpha)
      throw std::logic_error("another picture after it was written");
  }
  return true;
}

}  // namespace fastnst
