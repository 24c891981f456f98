// What is done to a decoded picture: whose colours it has, as fastnst/color/__init__.py says it, and what of it stays.
#pragma once

#include <cstdint>
#include <memory>

#include "c/stylizer.h"
#include "engine/palette.h"
#include "engine/regions.h"

namespace fastnst {

// A step towards the colours of the content.
class ContentStep : public ColorStep {
 public:
  // The next rows of the content; all of them come before settle().
  virtual void see(const uint8_t* rgb, int64_t pixels, int threads) = 0;
};

// All of it, by the options of a call, for a content of one size. `settings`: lives as long as this.
class Afterwards {
 public:
  // `style`: see stylize().
  Afterwards(const Settings& settings, const Style* style, int64_t height, int64_t width);

  // First, once all rows have been decoded. NULL: nothing.
  ColorStep* step() const { return step_.get(); }
  // The same if it has to see the content.
  ContentStep* content_step() const { return content_step_; }
  // Then, row by row beside the content; whether there is anything to be done; in place.
  bool beside() const { return blend_ != nullptr || keeps_rest_; }
  void apply(const uint8_t* content, uint8_t* result, int64_t first, int64_t count) const;
  // Everything, of a picture in memory, in place.
  void whole(const uint8_t* content, uint8_t* result);

 private:
  using Blend = void (*)(const uint8_t* content, uint8_t* result, int64_t pixels, int threads);

  const int64_t height_, width_;
  const int threads_;
  bool keeps_rest_ = false;
  Blend blend_ = nullptr;
  std::unique_ptr<RegionGrid> grid_;
  std::unique_ptr<ColorStep> step_;
  ContentStep* content_step_ = nullptr;
};

}  // namespace fastnst
