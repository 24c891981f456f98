// A picture in temporary storage, which can be read as often as needed.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "base/hidden.h"
#include "base/pnm.h"
#include "base/temporary_storage.h"

namespace fastnst {

class TemporaryPicture {
 public:
  // Takes all rows from `next`, with their transparency if there is any, and fills the hidden pixels (see hidden.h); their own
  // colours are lost. `folder`: see TemporaryStorage.
  TemporaryPicture(const PictureSize& size, const std::string& folder, const std::function<void(uint8_t*, uint8_t*)>& next);

  // Read `count` rows from `first` on.
  void read(int64_t first, int64_t count, uint8_t* rgb) const;
  void read_alpha(int64_t first, int64_t count, uint8_t* alpha) const;

 private:
  void fill(const Filling& filling);

  int64_t width_;
  TemporaryStorage rgb_, alpha_;
};

}  // namespace fastnst
