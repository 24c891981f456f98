#include "engine/fields.h"

#include <cstdlib>

#include "base/huffman.h"

namespace fastnst {
namespace {

constexpr uint64_t kMaxCoded = 256u << 20;  // weights of a layer that take less than a byte each
// A scale outside this range is no scale of picture features, and products with it could leave float's range.
constexpr float kMinScale = 1e-20f, kMaxScale = 1e20f;

}  // namespace

std::vector<int8_t> Cursor::weights(uint64_t count, uint64_t coded, const std::string& where) {
  if (coded == 0) return array<int8_t>(count);
  const uint8_t* from = take(coded);
  if (count > kMaxCoded || count / 8 > coded) refuse(where + ": more weights than so many bytes can hold");
  std::vector<int8_t> values(count);
  if (!huffman_decode(from, coded, reinterpret_cast<uint8_t*>(values.data()), count))
    refuse(where + ": weights whose code is broken");
  skip_padding(coded);
  return values;
}

std::string Cursor::text(uint64_t bytes) {
  const uint8_t* from = take(bytes);
  skip_padding(bytes);
  return std::string(reinterpret_cast<const char*>(from), bytes);
}

const uint8_t* Cursor::take(uint64_t bytes) {
  if (bytes > left()) refuse("the file ends in the middle of its content");
  const uint8_t* from = data_ + at_;
  at_ += bytes;
  return from;
}

void Cursor::skip_padding(uint64_t bytes) {
  for (uint64_t i = bytes; i % 4 != 0; i++)
    if (*take(1) != 0) refuse("padding that is not zero");
}

bool is_scale(float value) { return value >= kMinScale && value <= kMaxScale; }

void prove_safe(const std::vector<int8_t>& weights, const std::vector<int32_t>& bias, const std::vector<float>& multiplier,
                const std::string& where) {
  const uint64_t per_output = weights.size() / bias.size();
  for (size_t o = 0; o < bias.size(); o++) {
    uint64_t sum = 0;
    for (uint64_t i = 0; i < per_output; i++) sum += uint64_t(std::abs(int(weights[o * per_output + i])));
    const uint64_t bound = checked_add(checked_multiply(sum, 255), uint64_t(std::llabs(bias[o])));
    if (bound >= uint64_t(1) << 31) refuse(where + ": weights that could overflow the 32-bit accumulator");
    if (!is_scale(multiplier[o])) refuse(where + ": a multiplier that is not a positive, ordinary number");
    if (double(bound) * multiplier[o] >= double(1 << 30)) refuse(where + ": a multiplier that could overflow the output");
  }
}

}  // namespace fastnst
