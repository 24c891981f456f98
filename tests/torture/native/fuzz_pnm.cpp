// libFuzzer's target for the reader of PPM and PAM pictures.
#include "engines.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  fastnst::survives_picture(data, size);
  return 0;
}
