#include "engine/model.h"

#include <bit>
#include <cmath>
#include <cstdlib>
#include <cstring>

#include "base/checked.h"
#include "base/huffman.h"
#include "base/sha256.h"

namespace fastnst {
namespace {

static_assert(std::endian::native == std::endian::little, "model files are read as they lie in memory");

constexpr uint32_t kVersion = 2, kKindAdain = 1;
constexpr uint64_t kHeader = 48, kDigest = 32;
constexpr uint64_t kMaxFile = 256u << 20, kMaxCard = 1u << 20;
constexpr uint32_t kMaxLayers = 256, kMaxChannels = 65536;
constexpr uint64_t kMaxCoded = 256u << 20;  // weights of a layer that take less than a byte each
// A scale outside this range is no scale of picture features, and products with it could leave float's range.
constexpr float kMinScale = 1e-20f, kMaxScale = 1e20f;

[[noreturn]] void refuse(const std::string& why) { throw ModelError(why); }

// Takes numbers off the front of the file; refuses to go beyond its end.
class Cursor {
 public:
  Cursor(const uint8_t* data, uint64_t size) : data_(data), size_(size) {}

  template <typename T>
  T number() {
    T value;
    std::memcpy(&value, take(sizeof value), sizeof value);
    return value;
  }

  template <typename T>
  std::vector<T> array(uint64_t count) {
    const uint64_t bytes = checked_multiply(count, sizeof(T));
    const uint8_t* from = take(bytes);  // before anything is allocated
    std::vector<T> values(count);
    std::memcpy(values.data(), from, bytes);
    skip_padding(bytes);
    return values;
  }

  // `count` bytes out of `coded` ones.
  std::vector<int8_t> decoded(uint64_t count, uint64_t coded, const std::string& where) {
    const uint8_t* from = take(coded);
    if (count > kMaxCoded || count / 8 > coded) refuse(where + ": more weights than so many bytes can hold");
    std::vector<int8_t> values(count);
    if (!huffman_decode(from, coded, reinterpret_cast<uint8_t*>(values.data()), count))
      refuse(where + ": weights whose code is broken");
    skip_padding(coded);
    return values;
  }

  std::string text(uint64_t bytes) {
    const uint8_t* from = take(bytes);
    skip_padding(bytes);
    return std::string(reinterpret_cast<const char*>(from), bytes);
  }

  uint64_t left() const { return size_ - at_; }

 private:
  const uint8_t* take(uint64_t bytes) {
    if (bytes > left()) refuse("the file ends in the middle of its content");
    const uint8_t* from = data_ + at_;
    at_ += bytes;
    return from;
  }
  void skip_padding(uint64_t bytes) {
    for (uint64_t i = bytes; i % 4 != 0; i++)
      if (*take(1) != 0) refuse("padding that is not zero");
  }

  const uint8_t* data_;
  uint64_t size_, at_ = 0;
};

bool is_scale(float value) { return value >= kMinScale && value <= kMaxScale; }  // false for NaN

// The largest accumulator any picture can cause, and what becomes of it, per channel.
void prove_safe(const Layer& layer, const std::string& where) {
  const uint64_t per_output = uint64_t(layer.taps()) * layer.taps() * layer.inputs;
  for (size_t o = 0; o < layer.bias.size(); o++) {
    uint64_t sum = 0;
    for (uint64_t i = 0; i < per_output; i++) sum += uint64_t(std::abs(int(layer.weights[o * per_output + i])));
    const uint64_t bound = checked_add(checked_multiply(sum, 255), uint64_t(std::llabs(layer.bias[o])));
    if (bound >= uint64_t(1) << 31) refuse(where + ": weights that could overflow the 32-bit accumulator");
    const float multiplier = layer.multiplier[o];
    if (!is_scale(multiplier)) refuse(where + ": a multiplier that is not a positive, ordinary number");
    if (double(bound) * multiplier >= double(1 << 30)) refuse(where + ": a multiplier that could overflow the output");
  }
}

Layer read_layer(Cursor& cursor, const std::string& where) {
  Layer layer;
  const auto inputs = cursor.number<uint32_t>(), outputs = cursor.number<uint32_t>(), kernel = cursor.number<uint32_t>(),
             upsample = cursor.number<uint32_t>(), pool = cursor.number<uint32_t>(), zero = cursor.number<uint32_t>(),
             coded = cursor.number<uint32_t>();
  if (inputs == 0 || inputs > kMaxChannels || outputs == 0 || outputs > kMaxChannels)
    refuse(where + ": a channel count outside 1.." + std::to_string(kMaxChannels));
  if (kernel != 1 && kernel != 3) refuse(where + ": a kernel other than 1 or 3");
  if (upsample > 1 || (upsample == 1 && kernel != 3)) refuse(where + ": an unknown kind of upsampling");
  if (pool > uint32_t(Pool::ceil)) refuse(where + ": an unknown kind of pooling");
  if (upsample == 1 && pool != uint32_t(Pool::none)) refuse(where + ": upsampling and pooling in one layer");
  if (zero > 255) refuse(where + ": a zero point outside 0..255");
  layer.inputs = int(inputs), layer.outputs = int(outputs), layer.kernel = int(kernel);
  layer.upsample = upsample == 1, layer.pool = Pool(pool), layer.zero = int32_t(zero);
  const uint64_t rows = checked_multiply(uint64_t(layer.phases()), outputs);
  const uint64_t weights = checked_multiply(checked_multiply(rows, inputs), uint64_t(layer.taps()) * layer.taps());
  layer.weights = coded == 0 ? cursor.array<int8_t>(weights) : cursor.decoded(weights, coded, where);
  layer.bias = cursor.array<int32_t>(rows);
  layer.multiplier = cursor.array<float>(rows);
  prove_safe(layer, where);
  return layer;
}

std::vector<Layer> read_chain(Cursor& cursor, uint32_t count, const char* name, int inputs) {
  std::vector<Layer> layers;
  for (uint32_t i = 0; i < count; i++) {
    const std::string where = std::string(name) + " layer " + std::to_string(i + 1);
    layers.push_back(read_layer(cursor, where));
    if (layers.back().inputs != inputs)
      refuse(where + ": takes " + std::to_string(layers.back().inputs) + " channels where " + std::to_string(inputs) +
             " arrive");
    inputs = layers.back().outputs;
  }
  return layers;
}

// How many times a chain halves the sides of a map, less how many times it doubles them.
int halvings(const std::vector<Layer>& layers) {
  int count = 0;
  for (const Layer& layer : layers) count += int(layer.pool != Pool::none) - int(layer.upsample);
  return count;
}

Model parse(const uint8_t* data, uint64_t size) {
  if (size < 4 || std::memcmp(data, "FNST", 4) != 0) refuse("not a fastnst model");
  if (size < kHeader + kDigest) refuse("the file is cut short");
  if (size > kMaxFile) refuse("larger than any model may be");
  Cursor cursor(data + 4, size - kDigest - 4);
  const auto version = cursor.number<uint32_t>();
  if (version != kVersion) refuse("format version " + std::to_string(version) + " is not one this fastnst knows");
  if (cursor.number<uint64_t>() != size) refuse("the file is not as long as it says: cut short or appended to");
  const auto digest = sha256(data, size - kDigest);
  if (std::memcmp(digest.data(), data + size - kDigest, kDigest) != 0) refuse("the checksum does not match: damaged");
  if (cursor.number<uint32_t>() != kKindAdain) refuse("an unknown kind of model");
  const auto card = cursor.number<uint32_t>(), encoder = cursor.number<uint32_t>(), decoder = cursor.number<uint32_t>();
  Model model;
  model.feature_scale = cursor.number<float>();
  model.decoder_scale = cursor.number<float>();
  const auto decoder_zero = cursor.number<uint32_t>();
  if (!is_scale(model.feature_scale) || !is_scale(model.decoder_scale)) refuse("a scale that is not a positive number");
  if (decoder_zero > 255) refuse("a zero point outside 0..255");
  if (cursor.number<uint32_t>() != 0) refuse("a reserved field that is not zero");
  if (card > kMaxCard) refuse("a model card larger than any may be");
  if (encoder == 0 || encoder > kMaxLayers || decoder == 0 || decoder > kMaxLayers)
    refuse("a number of layers outside 1.." + std::to_string(kMaxLayers));
  model.decoder_zero = int32_t(decoder_zero);
  model.card = cursor.text(card);
  model.encoder = read_chain(cursor, encoder, "encoder", 3);
  model.decoder = read_chain(cursor, decoder, "decoder", model.channels());
  if (cursor.left() != 0) refuse("bytes after the last layer");
  if (model.decoder.back().outputs != 3) refuse("the last layer writes no RGB picture");
  if (halvings(model.encoder) < 0 || halvings(model.encoder) + halvings(model.decoder) != 0)
    refuse("the decoder does not restore the size that the encoder reduces");
  return model;
}

}  // namespace

Model read_model(const uint8_t* data, uint64_t size) {
  try {
    return parse(data, size);
  } catch (const std::overflow_error& error) {
    refuse(error.what());
  }
}

}  // namespace fastnst
