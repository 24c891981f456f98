#include "c/stylizer.h"

#include <algorithm>
#include <cmath>
#include <stdexcept>

#include "base/memory.h"
#include "base/temporary_storage.h"
#include "c/colors.h"

namespace fastnst {
namespace {

uint64_t budget(const Engine& engine, const Settings& settings, int64_t height, int64_t width) {
  if (settings.max_memory > 0) return settings.max_memory;
  return default_budget(uint64_t(height) * uint64_t(width), machine_memory(), engine.usual_bytes());
}

bool needs_tiles(const Engine& engine, const Settings& settings, int64_t height, int64_t width) {
  return engine.working_bytes(height, width, settings.levels, settings.threads) > budget(engine, settings, height, width);
}

Tiling tiling(const Engine& engine, const Settings& settings, const RowIO& picture, bool decodes) {
  return engine.tiling(picture.height, picture.width, settings.levels, settings.threads,
                       budget(engine, settings, picture.height, picture.width), decodes);
}

// The folder for a temporary copy of a picture; "", which means memory, if it is a small part of the budget.
std::string aside(const Engine& engine, const Settings& settings, const RowIO& picture) {
  const uint64_t bytes = 3 * uint64_t(picture.height) * uint64_t(picture.width);
  return bytes <= budget(engine, settings, picture.height, picture.width) / 8 ? "" : settings.folder;
}

Painting painting_of(const Settings& settings, const Style* style) {
  if (settings.style_weights) throw std::invalid_argument("weights of a model's own styles are a generator's to choose");
  Painting painting{style != nullptr ? style->look : Look(), settings.alpha, nullptr, {}};
  if (settings.regions) painting.regions = &*settings.regions;
  for (const Style* each : settings.region_styles) painting.looks.push_back(each->look);
  return painting;
}

// `picture`, whose rows see(rows, count) is shown once each, in order. Both live as long as the result.
template <typename See>
RowIO watched(const RowIO& picture, See& see) {
  RowIO watched = picture;
  watched.read = [&picture, &see, seen = int64_t(0)](int64_t first, int64_t count, uint8_t* rows) mutable {
    picture.read(first, count, rows);
    const int64_t old = std::clamp<int64_t>(seen - first, 0, count);  // of a pass before
    if (old < count) see(rows + 3 * picture.width * old, count - old);
    seen = std::max(seen, first + count);
  };
  return watched;
}

// A picture in memory; its result goes to `out`.
RowIO in_memory(const uint8_t* rgb, int64_t height, int64_t width, uint8_t* out, int threads) {
  const int64_t row = 3 * width;
  return {height,
          width,
          [=](int64_t first, int64_t count, uint8_t* rows) { std::copy_n(rgb + first * row, count * row, rows); },
          [=](const uint8_t* rows, int64_t count) mutable { out = std::copy_n(rows, count * row, out); },
          [](double) {},
          threads};
}

// A result that is finished beside its content, of which a temporary copy is made while it is read.
class BesideContent {
 public:
  // `content` and `afterwards`: live as long as this. `folder`: see TemporaryStorage.
  BesideContent(const RowIO& content, const Afterwards& afterwards, const std::string& folder)
      : content_(content),
        afterwards_(afterwards),
        row_(3 * content.width),
        original_(uint64_t(content.height * row_), folder) {}

  // The picture to stylize instead of the content.
  RowIO io() {
    return {content_.height,
            content_.width,
            [this](int64_t first, int64_t count, uint8_t* rows) {
              content_.read(first, count, rows);
              original_.write(uint64_t(first * row_), rows, uint64_t(count * row_));
            },
            [this](const uint8_t* rows, int64_t count) { write(rows, count); },
            [this](double part) { content_.tell(part); },
            content_.threads};
  }

 private:
  void write(const uint8_t* rows, int64_t count) {
    std::vector<uint8_t> before(std::size_t(3 * content_.width)), after(before.size());
    for (; count > 0; count--, written_++, rows += row_) {
      original_.read(uint64_t(written_ * row_), before.data(), before.size());
      std::copy_n(rows, row_, after.data());
      afterwards_.apply(before.data(), after.data(), written_, 1);
      content_.write(after.data(), 1);
    }
  }

  const RowIO& content_;
  const Afterwards& afterwards_;
  const int64_t row_;
  TemporaryStorage original_;
  int64_t written_ = 0;
};

// A content by `run(io)`, and what is done afterwards, all row by row. `style`: see stylize().
template <typename Run>
void finish(const Engine& engine, const Settings& settings, const Style* style, const RowIO& content, Run&& run) {
  const Afterwards afterwards(settings, style, content.height, content.width);
  const std::string folder = aside(engine, settings, content);
  const auto recolored = [&](const RowIO& io) {
    if (afterwards.step() == nullptr) return run(io);
    Recoloring recoloring(io, *afterwards.step(), folder);
    run(recoloring.before());
    recoloring.finish();
  };
  const auto shown = [&](const RowIO& io) {
    if (afterwards.content_step() == nullptr) return recolored(io);
    const auto see = [&](const uint8_t* rows, int64_t count) {
      afterwards.content_step()->see(rows, count * content.width, settings.threads);
    };
    recolored(watched(io, see));
  };
  if (!afterwards.beside()) return shown(content);
  shown(BesideContent(content, afterwards, folder).io());
}

void check_translation(const Settings& settings) {
  if (settings.regions) throw std::invalid_argument("a generator has no regions and no alpha map");
}

// The sum, rounded once (Shewchuk, 1997), as Python's math.fsum: mixing by the same weights gives the same bytes from both.
double exact_sum(const std::vector<double>& values) {
  std::vector<double> parts;  // whose bits do not overlap, the smallest first; their sum is exact
  for (double x : values) {
    size_t kept = 0;
    for (double y : parts) {
      if (std::abs(x) < std::abs(y)) std::swap(x, y);
      const double high = x + y, low = y - (high - x);
      if (low != 0) parts[kept++] = low;
      x = high;
    }
    parts.resize(kept);
    parts.push_back(x);
  }
  double sum = 0, low = 0;
  while (!parts.empty() && low == 0) {
    const double before = sum, part = parts.back();
    parts.pop_back();
    sum = before + part;
    low = part - (sum - before);
  }
  // Ties are decided by the remaining parts.
  if (low != 0 && !parts.empty() && (low < 0) == (parts.back() < 0)) {
    const double twice = 2 * low, other = sum + twice;
    if (other - sum == twice) sum = other;
  }
  return sum;
}

std::vector<double> shares(const std::vector<double>& weights, size_t count) {
  if (count == 0) throw std::invalid_argument("there must be at least one style");
  if (weights.empty()) return std::vector<double>(count, 1 / double(count));
  std::vector<double> parts;
  const double total = exact_sum(weights);
  for (const double weight : weights) {
    if (!(weight >= 0 && std::isfinite(weight)) || total == 0)
      throw std::invalid_argument("weights must be at least 0 and not all 0");
    if (!std::isfinite(total)) throw std::invalid_argument("weights are too large to be summed");
    parts.push_back(weight / total);
  }
  return parts;
}

// The part of each of a generator's own styles; none: the first alone.
std::vector<double> own_styles(const Engine& engine, const Settings& settings) {
  if (!settings.style_weights) return {};
  const size_t count = settings.style_weights->size();
  if (engine.styles() == 0) throw std::invalid_argument("this model has no styles of its own to choose by weights");
  if (count != size_t(engine.styles()))
    throw std::invalid_argument("this model has " + std::to_string(engine.styles()) + " styles, and " + std::to_string(count) +
                                " weights are given");
  return shares(*settings.style_weights, count);
}

}  // namespace

void check_size(int64_t height, int64_t width) {
  constexpr int64_t kMaxSide = int64_t(1) << 24;
  if (height < 1 || width < 1 || height > kMaxSide || width > kMaxSide)
    throw std::invalid_argument("the sides of a picture must be 1 to 16777216 pixels, not " + std::to_string(height) + " x " +
                                std::to_string(width));
}

Style encode_style(const Engine& engine, const Settings& settings, const uint8_t* rgb, int64_t height, int64_t width) {
  if (engine.kind() != Kind::generator && needs_tiles(engine, settings, height, width))
    return encode_style(engine, settings, in_memory(rgb, height, width, nullptr, settings.threads));
  ColorSums sums;
  Look look = engine.look(rgb, height, width, settings.levels, settings.threads);
  sums.add(rgb, height * width, settings.threads);
  return {std::move(look), sums.colors()};
}

Style encode_style(const Engine& engine, const Settings& settings, const RowIO& picture) {
  ColorSums sums;
  const auto see = [&](const uint8_t* rows, int64_t count) { sums.add(rows, picture.width * count, settings.threads); };
  Look look = engine.look(watched(picture, see), settings.levels, tiling(engine, settings, picture, false));
  return {std::move(look), sums.colors()};
}

Style mixed(const std::vector<const Style*>& styles, const std::vector<double>& weights) {
  const std::vector<double> parts = shares(weights, styles.size());
  if (styles.size() == 1) return *styles.front();
  std::vector<const Look*> looks;
  std::vector<const Colors*> colors;
  for (const Style* style : styles) looks.push_back(&style->look), colors.push_back(&style->colors);
  return {mixed(looks, parts), mixed(colors, parts)};
}

void stylize(const Engine& engine, const Settings& settings, const Style* style, const uint8_t* rgb, int64_t height,
             int64_t width, uint8_t* out) {
  const int threads = settings.threads;
  const Painting painting = painting_of(settings, style);
  Afterwards afterwards(settings, style, height, width);
  if (engine.kind() != Kind::generator && needs_tiles(engine, settings, height, width)) {
    const RowIO content = in_memory(rgb, height, width, out, threads);
    engine.stylize(content, settings.levels, painting, tiling(engine, settings, content, true), settings.folder);
  } else {
    engine.decode(engine.encode(rgb, height, width, settings.levels, threads), painting, out, threads);
  }
  afterwards.whole(rgb, out);
}

void stylize(const Engine& engine, const Settings& settings, const Style* style, const RowIO& content) {
  const Tiling tiles = tiling(engine, settings, content, true);
  const Painting painting = painting_of(settings, style);
  finish(engine, settings, style, content,
         [&](const RowIO& io) { engine.stylize(io, settings.levels, painting, tiles, settings.folder); });
}

void translate(const Engine& engine, const Settings& settings, const uint8_t* rgb, int64_t height, int64_t width,
               uint8_t* out) {
  check_translation(settings);
  const std::vector<double> styles = own_styles(engine, settings);
  if (needs_tiles(engine, settings, height, width)) {
    const RowIO content = in_memory(rgb, height, width, out, settings.threads);
    engine.translate(content, styles, tiling(engine, settings, content, true), settings.folder);
  } else {
    engine.translate(rgb, height, width, styles, out, settings.threads);
  }
  Afterwards(settings, nullptr, height, width).whole(rgb, out);
}

void translate(const Engine& engine, const Settings& settings, const RowIO& content) {
  check_translation(settings);
  const Tiling tiles = tiling(engine, settings, content, true);
  const std::vector<double> styles = own_styles(engine, settings);
  finish(engine, settings, nullptr, content, [&](const RowIO& io) { engine.translate(io, styles, tiles, settings.folder); });
}

}  // namespace fastnst
