// Translation of pictures by an image-to-image generator: a graph of convolutions, normalisations and additions.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "engine/convolution.h"
#include "engine/engine.h"
#include "engine/schedule.h"

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

  // The same in bands, by what tiling() says. The picture is read once. These are in bands.cpp, or for pages in
  // csrc/web/whole.cpp.
  Tiling tiling(int64_t height, int64_t width, const Levels& levels, int threads, uint64_t budget, bool decodes) const override;
  void translate(const RowIO& content, const std::vector<double>& styles, const Tiling& tiling,
                 const std::string& folder) const override;

  uint64_t working_bytes(int64_t height, int64_t width, const Levels& levels, int threads) const override;
  // As much as pictures take at once that are done by networks of usual widths.
  uint64_t usual_bytes() const override { return 256; }

 private:
  // An affine node with numbers for every lane of its source.
  struct Lanes {
    std::vector<float> slope, offset;
    bool complete;  // with the statistics of this picture
  };
  // Sums over a map's channels: exact ones, and what every thread has added to them since.
  struct Sums {
    using Exact = __int128;
    std::vector<int64_t> own;
    std::vector<uint64_t> own_squares;
    std::vector<Exact> sums, squares;
  };
  // The maps of a segment in one piece of memory.
  struct Layout {
    std::vector<GraphMap> maps;
    std::vector<uint64_t> offsets;
    uint64_t bytes = 0;
  };
  struct Run {                   // of one picture
    std::vector<GraphMap> maps;  // of the segment that is run
    std::vector<Sums> sums;      // of maps that are normalised
    std::vector<Lanes> lanes;    // of affine nodes
    int64_t height, width;       // extended
    int threads;
    uint8_t* out;  // row 0 of the picture, which need not be there, cut to its own size
    int64_t out_height, out_width;
  };
  class Bands;

  static std::vector<Segment> segments_of(const Graph& graph);
  std::vector<int64_t> windows(const Segment& segment, int64_t height, int64_t band) const;
  Tiling at_once(int64_t height, int64_t width, const Levels& levels, int threads) const;
  void translate_at_once(const RowIO& content, const std::vector<double>& styles) const;
  // `band`: rows of the picture. Sides are extended, as everywhere below where a picture is not spoken of.
  Layout lay_out(const Segment& segment, int64_t height, int64_t width, int64_t band) const;
  uint64_t sum_bytes(int threads) const;
  int64_t extended(int64_t side) const;
  Lanes lanes_of(const Affine& node, const std::vector<double>& styles) const;
  // Throws as translate() does.
  Run prepare(int64_t height, int64_t width, const std::vector<double>& styles, int threads) const;
  void place(Run& run, const Segment& segment, int64_t band, Buffer& memory) const;
  // Rows [begin, end) of map 0; `row_of(y)` is where the picture has that one.
  using RowOf = std::function<const uint8_t*(int64_t y)>;
  void load(const Run& run, int64_t begin, int64_t end, const RowOf& row_of) const;
  void normalise(Run& run, const Pass& pass) const;
  void run_pass(Run& run, const Segment& segment, const Pass& pass, int64_t from, int64_t to) const;
  void run_affine(const Run& run, size_t index, int64_t y) const;
  void paint(const Run& run, const Paint& node, int64_t y) const;
  void add_row(Run& run, uint32_t map, int64_t y, int slot) const;
  void settle_sums(Run& run, const Segment& segment, const Pass& pass) const;

  Graph graph_;
  Segment whole_;
  std::vector<Segment> segments_;
  std::vector<PackedConvolution> convolutions_;  // in the order of their nodes
  std::vector<size_t> packed_;                   // where a node's numbers are, in convolutions_ or a run's lanes
  std::vector<uint8_t> painted_;                 // what each number of 16 bits becomes
  mutable Workspaces workspaces_;
};

}  // namespace fastnst
