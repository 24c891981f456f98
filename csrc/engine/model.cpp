#include "engine/model.h"

#include <bit>
#include <cmath>
#include <cstring>

#include "base/checked.h"
#include "base/sha256.h"
#include "engine/winograd.h"

namespace fastnst {
namespace {

static_assert(std::endian::native == std::endian::little, "model files are read as they lie in memory");

constexpr uint32_t kVersion = 2, kVersionWithForms = 3, kVersionWithOwnSides = 4, kVersionWithStyles = 5, kStages = 5;
constexpr uint64_t kHeader = 48, kDigest = 32;
constexpr uint64_t kMaxFile = 256u << 20, kMaxCard = 1u << 20;
constexpr uint32_t kMaxLayers = 256, kMaxChannels = 65536;
constexpr int kMaxWctChannels = 512;  // VGG's widest; time grows with the third power, memory with the second
constexpr float kMaxZero = 1e6f;      // a zero point farther off leaves no input of the decoder but 0 or 255

Layer read_layer(Cursor& cursor, bool forms, const std::string& where) {
  Layer layer;
  const auto inputs = cursor.number<uint32_t>(), outputs = cursor.number<uint32_t>(), kernel = cursor.number<uint32_t>(),
             upsample = cursor.number<uint32_t>(), pool = cursor.number<uint32_t>(), zero = cursor.number<uint32_t>(),
             coded = cursor.number<uint32_t>();
  const uint32_t form = forms ? cursor.number<uint32_t>() : 0;
  if (inputs == 0 || inputs > kMaxChannels || outputs == 0 || outputs > kMaxChannels)
    refuse(where + ": a channel count outside 1.." + std::to_string(kMaxChannels));
  if (kernel != 1 && kernel != 3) refuse(where + ": a kernel other than 1 or 3");
  if (upsample > 1 || (upsample == 1 && kernel != 3)) refuse(where + ": an unknown kind of upsampling");
  if (pool > uint32_t(Pool::ceil)) refuse(where + ": an unknown kind of pooling");
  if (upsample == 1 && pool != uint32_t(Pool::none)) refuse(where + ": upsampling and pooling in one layer");
  if (zero > 255) refuse(where + ": a zero point outside 0..255");
  if (form > 1 || (form == 1 && kernel != 3)) refuse(where + ": an unknown form");
  layer.inputs = int(inputs), layer.outputs = int(outputs), layer.kernel = int(kernel);
  layer.upsample = upsample == 1, layer.pool = Pool(pool), layer.zero = int32_t(zero);
  const int phases = form == 1 ? 1 : layer.phases(), taps = form == 1 ? int(kernel) : layer.taps();
  const uint64_t rows = checked_multiply(uint64_t(phases), outputs);
  const uint64_t weights = checked_multiply(checked_multiply(rows, inputs), uint64_t(taps) * taps);
  layer.weights = cursor.weights(weights, coded, where);
  layer.bias = cursor.array<int32_t>(rows);
  layer.multiplier = cursor.array<float>(rows);
  if (form == 1) {
    layer.scales = cursor.array<int16_t>(positions(layer.upsample));
    derive_positions(layer, where);
  }
  prove_safe(layer.weights, layer.bias, layer.multiplier, where);
  return layer;
}

std::vector<Layer> read_chain(Cursor& cursor, uint32_t count, bool forms, const std::string& name, int inputs) {
  std::vector<Layer> layers;
  for (uint32_t i = 0; i < count; i++) {
    const std::string where = name + " layer " + std::to_string(i + 1);
    layers.push_back(read_layer(cursor, forms, where));
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

void read_reserved(Cursor& cursor, int count) {
  for (int i = 0; i < count; i++)
    if (cursor.number<uint32_t>() != 0) refuse("a reserved field that is not zero");
}

uint32_t read_zero(Cursor& cursor) {
  const auto zero = cursor.number<uint32_t>();
  if (zero > 255) refuse("a zero point outside 0..255");
  return zero;
}

float read_scale(Cursor& cursor) {
  const auto scale = cursor.number<float>();
  if (!is_scale(scale)) refuse("a scale that is not a positive, ordinary number");
  return scale;
}

void check_counts(uint32_t encoder, uint32_t decoder) {
  if (encoder == 0 || encoder > kMaxLayers || decoder == 0 || decoder > kMaxLayers)
    refuse("a number of layers outside 1.." + std::to_string(kMaxLayers));
}

void check_pictures(const Stage& stage) {
  if (stage.encoder.front().winograd() || stage.decoder.back().winograd())
    refuse("a layer of Winograd's form that reads or writes a picture");
  if (stage.decoder.back().outputs != 3) refuse("the last layer writes no RGB picture");
  if (halvings(stage.encoder) < 0 || halvings(stage.encoder) + halvings(stage.decoder) != 0)
    refuse("the decoder does not restore the size that the encoder reduces");
}

// The only stage of an AdaIN model, whose scales serve all channels.
Stage read_pair(Cursor& cursor, uint32_t encoder, uint32_t decoder, bool forms, float feature_scale, float decoder_scale,
                uint32_t zero) {
  Stage stage;
  stage.encoder = read_chain(cursor, encoder, forms, "encoder", 3);
  stage.decoder = read_chain(cursor, decoder, forms, "decoder", stage.channels());
  const size_t channels = size_t(stage.channels());
  stage.feature_scale.assign(channels, feature_scale);
  stage.decoder_scale.assign(channels, decoder_scale);
  stage.decoder_zero.assign(channels, float(zero));
  check_pictures(stage);
  return stage;
}

Stage read_stage(Cursor& cursor, bool forms, uint32_t below) {
  Stage stage;
  stage.number = cursor.number<uint32_t>();
  if (stage.number < 1 || stage.number >= below)
    refuse("stages that are not numbered from the deepest, 5 at most, to the first");
  const auto encoder = cursor.number<uint32_t>(), decoder = cursor.number<uint32_t>();
  check_counts(encoder, decoder);
  const std::string name = "stage " + std::to_string(stage.number);
  stage.encoder = read_chain(cursor, encoder, forms, name + " encoder", 3);
  if (stage.channels() > kMaxWctChannels)
    refuse(name + ": more than " + std::to_string(kMaxWctChannels) + " channels to whiten");
  for (auto* scales : {&stage.feature_scale, &stage.decoder_scale})
    for (int c = 0; c < stage.channels(); c++) scales->push_back(read_scale(cursor));
  for (int c = 0; c < stage.channels(); c++) {
    stage.decoder_zero.push_back(cursor.number<float>());
    if (!(std::abs(stage.decoder_zero.back()) <= kMaxZero)) refuse(name + ": a zero point that is not an ordinary number");
  }
  stage.decoder = read_chain(cursor, decoder, forms, name + " decoder", stage.channels());
  check_pictures(stage);
  return stage;
}

Model parse(const uint8_t* data, uint64_t size) {
  if (size < 4 || std::memcmp(data, "FNST", 4) != 0) refuse("not a fastnst model");
  if (size < kHeader + kDigest) refuse("the file is cut short");
  if (size > kMaxFile) refuse("larger than any model may be");
  Cursor cursor(data + 4, size - kDigest - 4);
  const auto version = cursor.number<uint32_t>();
  const bool forms = version == kVersionWithForms, styles = version == kVersionWithStyles;
  const bool own_sides = version == kVersionWithOwnSides || styles;
  if (version != kVersion && !forms && !own_sides)
    refuse("format version " + std::to_string(version) + " is not one this fastnst knows");
  if (cursor.number<uint64_t>() != size) refuse("the file is not as long as it says: cut short or appended to");
  const auto digest = sha256(data, size - kDigest);
  if (std::memcmp(digest.data(), data + size - kDigest, kDigest) != 0) refuse("the checksum does not match: damaged");
  Model model;
  model.kind = Kind(cursor.number<uint32_t>());
  if (model.kind < Kind::adain || model.kind > Kind::generator) refuse("an unknown kind of model");
  if (own_sides && model.kind != Kind::generator) refuse("a version that only generators have");
  const auto card = cursor.number<uint32_t>();
  if (card > kMaxCard) refuse("a model card larger than any may be");
  if (model.kind == Kind::adain) {
    const auto encoder = cursor.number<uint32_t>(), decoder = cursor.number<uint32_t>();
    check_counts(encoder, decoder);
    const float feature_scale = read_scale(cursor), decoder_scale = read_scale(cursor);
    const uint32_t zero = read_zero(cursor);
    read_reserved(cursor, 1);
    model.card = cursor.text(card);
    model.stages.push_back(read_pair(cursor, encoder, decoder, forms, feature_scale, decoder_scale, zero));
  } else if (model.kind == Kind::generator) {
    if (forms) refuse("a generator, whose layers have no forms");
    const auto nodes = cursor.number<uint32_t>();
    const auto count = styles ? std::optional(cursor.number<uint32_t>()) : std::nullopt;
    read_reserved(cursor, styles ? 4 : 5);
    model.card = cursor.text(card);
    model.graph = read_graph(cursor, nodes, own_sides, count);
  } else {
    const auto stages = cursor.number<uint32_t>();
    if (stages < 1 || stages > kStages) refuse("a number of stages outside 1..5");
    read_reserved(cursor, 5);
    model.card = cursor.text(card);
    for (uint32_t i = 0; i < stages; i++)
      model.stages.push_back(read_stage(cursor, forms, i == 0 ? kStages + 1 : model.stages.back().number));
  }
  if (cursor.left() != 0) refuse("bytes after the last layer");
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
