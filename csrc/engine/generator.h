// Translation of pictures by an image-to-image generator: a graph of convolutions, normalisations and additions.
#pragma once

#include <cstdint>
#include <vector>

#include "engine/convolution.h"
#include "engine/engine.h"

namespace fastnst {

class GeneratorEngine final : public Engine {
 public:
  // `model`: of Kind::generator.
  explicit GeneratorEngine(const Model& model);

  // The picture that the generator makes of another one, height x width x 3 both, of any size from 1 x 1. Sides that are not a
  // multiple of Graph::step, or shorter than its borders need, are extended to the right and below by
  // reflection, as often as it takes, and what came of the extension is cut off. Throws std::invalid_argument if a side is
  // too small or too large, or if `styles` are not those of the graph.
  void translate(const uint8_t* picture, int64_t height, int64_t width, const std::vector<double>& styles, uint8_t* out,
                 int threads) const override;

  uint64_t working_bytes(int64_t height, int64_t width, const Levels& levels, int threads) const override;

 private:
  // Nodes that are computed together, row by row, and when the maps have to be there.
  struct Pass {
    size_t first, last;  // nodes, the last one not included
    Sides sides;
  };
  // An affine node with numbers for every lane of its source.
  struct Lanes {
    std::vector<float> slope, offset;
  };
  // Sums over a map's channels, of each thread for itself.
  struct Sums {
    std::vector<int64_t> sums;
    std::vector<uint64_t> squares;
  };
  struct Run;  // of one picture

  void plan_passes();
  void plan_lives();
  bool joins(const Pass& pass, const Node& node) const;
  // Lays the maps of a picture of extended sides out; returns the bytes of memory they take.
  uint64_t lay_out(int64_t height, int64_t width, std::vector<GraphMap>& maps, std::vector<uint64_t>& offsets) const;
  int64_t extended(int64_t side) const;
  Lanes lanes_of(const Affine& node, const std::vector<double>& styles) const;
  void load(const Run& run, const uint8_t* picture, int64_t height, int64_t width) const;
  void normalise(Run& run, const Pass& pass) const;
  void run_pass(Run& run, const Pass& pass) const;
  void run_affine(const Run& run, size_t index, int64_t y) const;
  void add_row(Run& run, uint32_t map, int64_t y, int slot) const;

  Graph graph_;
  std::vector<Pass> passes_;
  struct Life {
    size_t first, last;  // passes, both included
  };
  std::vector<Life> lives_;                      // of maps
  std::vector<PackedConvolution> convolutions_;  // in the order of their nodes
  std::vector<size_t> packed_;                   // where a node's numbers are, in convolutions_ or a run's lanes
  std::vector<uint8_t> painted_;                 // what each number of 16 bits becomes
  mutable Workspaces workspaces_;
};

}  // namespace fastnst
