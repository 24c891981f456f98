#include "c/colors.h"

#include <utility>
#include <vector>

#include "base/histogram.h"
#include "base/lab.h"
#include "base/luma.h"

namespace fastnst {
namespace {

// The mean and covariance of the content's colours.
class MatchStep final : public ContentStep {
 public:
  explicit MatchStep(int64_t width) : width_(width) {}
  void see(const uint8_t* rgb, int64_t pixels, int threads) override { wanted_.add(rgb, pixels, threads); }
  void add(const uint8_t* rows, int64_t, int64_t count, int threads) override { own_.add(rows, count * width_, threads); }
  void settle() override { map_ = color_map(own_.colors(), wanted_.colors(), 1); }
  void apply(uint8_t* rows, int64_t, int64_t count, int threads) const override {
    map_colors(map_, rows, count * width_, threads);
  }

 private:
  const int64_t width_;
  ColorSums wanted_, own_;
  ColorMap map_{};
};

class HistogramStep final : public ContentStep {
 public:
  explicit HistogramStep(int64_t width) : width_(width) {}
  void see(const uint8_t* rgb, int64_t pixels, int) override { count_levels(rgb, pixels, wanted_); }
  void add(const uint8_t* rows, int64_t, int64_t count, int) override { count_levels(rows, count * width_, own_); }
  void settle() override { tables_ = level_tables(own_, wanted_); }
  void apply(uint8_t* rows, int64_t, int64_t count, int threads) const override {
    map_levels(tables_, rows, count * width_, threads);
  }

 private:
  const int64_t width_;
  Histogram wanted_{}, own_{};
  LevelTables tables_{};
};

// Colours of the styles, for each region and the rest: those of a rest without a style stay.
std::vector<Palette> palettes(const Settings& settings, const Style* style) {
  const double strength = settings.alpha * settings.palette;
  std::vector<Palette> found;
  for (const Style* each : settings.region_styles) found.push_back({each->colors, strength});
  found.push_back(style != nullptr ? Palette{style->colors, strength} : Palette{{}, 0});
  return found;
}

}  // namespace

Afterwards::Afterwards(const Settings& settings, const Style* style, int64_t height, int64_t width)
    : height_(height), width_(width), threads_(settings.threads) {
  if (settings.regions) {
    grid_ = std::make_unique<RegionGrid>(*settings.regions, height, width, 1);
    keeps_rest_ = !settings.regions->paints_rest;
  }
  std::unique_ptr<ContentStep> asking;
  switch (settings.colors) {
    case FASTNST_PALETTE:
      if ((style != nullptr || settings.regions) && settings.alpha * settings.palette > 0)
        step_ = std::make_unique<PaletteStep>(palettes(settings, style), grid_.get(), width);
      break;
    case FASTNST_LUMA:
      blend_ = keep_color;
      break;
    case FASTNST_LAB:
      blend_ = keep_lab;
      break;
    case FASTNST_MATCH:
      asking = std::make_unique<MatchStep>(width);
      break;
    case FASTNST_HISTOGRAM:
      asking = std::make_unique<HistogramStep>(width);
      break;
  }
  if (asking) content_step_ = asking.get(), step_ = std::move(asking);
}

void Afterwards::apply(const uint8_t* content, uint8_t* result, int64_t first, int64_t count) const {
  if (blend_ != nullptr) blend_(content, result, count * width_, threads_);
  if (keeps_rest_) keep_rest(*grid_, content, result, first, count, width_, threads_);
}

void Afterwards::whole(const uint8_t* content, uint8_t* result) {
  if (content_step_ != nullptr) content_step_->see(content, height_ * width_, threads_);
  if (step_) {
    step_->add(result, 0, height_, threads_);
    step_->settle();
    step_->apply(result, 0, height_, threads_);
  }
  apply(content, result, 0, height_);
}

}  // namespace fastnst
