// 8-bit PPM (P6) and PAM (P7) pictures from and to streams.
#pragma once

#include <cstdint>
#include <cstdio>
#include <stdexcept>
#include <string>
#include <vector>

namespace fastnst {

struct Picture {
  int64_t height = 0, width = 0;
  std::vector<uint8_t> rgb;    // height x width x 3
  std::vector<uint8_t> alpha;  // height x width, or empty
  bool pam = false;            // which of the two formats it came in
};

// Not a picture these functions read, or cut short. The message is one line.
class PictureError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// Reads one picture: P6, or P7 with depth 1 (grey), 2 (grey, alpha), 3 (RGB) or 4 (RGB, alpha); maximum value 255.
Picture read_pnm(std::FILE* file);
// Writes P6, or P7 where the picture has alpha or came as PAM.
void write_pnm(std::FILE* file, const Picture& picture);

}  // namespace fastnst
