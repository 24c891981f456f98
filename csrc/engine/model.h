// The content of a .fnst file, read and proved safe to run. The format is described in fastnst/format/modelfile.py.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "engine/graph.h"

namespace fastnst {

enum class Pool : uint32_t { none = 0, floor = 1, ceil = 2 };

struct Layer {
  int inputs = 0, outputs = 0;
  int kernel = 3;  // 1 or 3
  bool upsample = false;
  Pool pool = Pool::none;
  int32_t zero = 0;
  // Of a direct layer [outputs][kernel][kernel][inputs], upsample: [4][outputs][2][2][inputs]; of one of Winograd's form what
  // its positions count with: [positions][outputs][inputs].
  std::vector<int8_t> weights;
  std::vector<int32_t> bias;      // [outputs], upsample: [4][outputs]; [positions][outputs]
  std::vector<float> multiplier;  // as the bias
  std::vector<int16_t> scales;    // [positions], or none if the layer is direct

  bool winograd() const { return !scales.empty(); }
  // Of a direct layer.
  int phases() const { return upsample ? 4 : 1; }
  int taps() const { return upsample ? 2 : kernel; }  // per side of the stored kernels
};

// An encoder, a decoder, and what the numbers between the two mean, channel by channel.
struct Stage {
  uint32_t number = 0;  // 1 to 5 in a WCT model, 0 for the only one of an AdaIN model
  std::vector<Layer> encoder, decoder;
  std::vector<float> feature_scale;                // the real value of one step of the encoder's output
  std::vector<float> decoder_scale, decoder_zero;  // of one step of the decoder's input, and the input that means 0

  int channels() const { return encoder.back().outputs; }
};

enum class Kind : uint32_t { adain = 1, wct = 2, generator = 3 };

struct Model {
  Kind kind = Kind::adain;
  std::string card;           // JSON, for people and Python; the engine does not read it
  std::vector<Stage> stages;  // in the order in which they run: the deepest first; none in a generator
  Graph graph;                // of a generator
};

// Throws ModelError. An accepted model cannot overflow an accumulator, whatever the picture.
Model read_model(const uint8_t* data, uint64_t size);

}  // namespace fastnst
