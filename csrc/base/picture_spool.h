// A picture that is put aside while it is read, for as many passes over it as one likes.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "base/hidden.h"
#include "base/pnm.h"
#include "base/spool.h"

namespace fastnst {

class PictureSpool {
 public:
  // Takes the picture's rows from `next`, with their transparency where there is any. Then the hidden pixels are filled (see
  // hidden.h): what lies below them is never seen again. `folder`: see Spool.
  PictureSpool(const PictureSize& size, const std::string& folder, const std::function<void(uint8_t*, uint8_t*)>& next);

  // `count` rows from `first` on.
  void read(int64_t first, int64_t count, uint8_t* rgb) const;
  void read_alpha(int64_t first, int64_t count, uint8_t* alpha) const;

 private:
  void fill(const Filling& filling);

  int64_t width_;
  Spool rgb_, alpha_;
};

}  // namespace fastnst
