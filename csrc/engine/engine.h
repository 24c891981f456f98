// A model ready to run, whatever its kind: what everything outside this folder asks.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/codec.h"
#include "engine/model.h"
#include "engine/regions.h"
#include "engine/tiles.h"

namespace fastnst {

// Of features in real units: mean [C], and how they spread around it.
struct Statistics {
  std::vector<double> mean, spread;
};

// A picture's features. Their spread is the standard deviation [C] of an AdaIN model, the covariance [C][C] of a WCT model.
struct Features : Encoded {
  std::vector<int> levels;  // of a WCT model: those to be run, the deepest first; these are the features of that one
  Statistics statistics;
};

// What a model takes from a style at one level; an AdaIN model has one level, number 0. The spread is the standard deviation
// [C] of an AdaIN model, the symmetric root [C][C] of the covariance of a WCT model.
struct LevelLook {
  int level = 0;
  Statistics statistics;
};
using Look = std::vector<LevelLook>;

// What a content becomes: its features are blended `alpha` of the way to the look of a style.
struct Painting {
  Look style;  // with regions, of what no mask covers; empty if that is not painted
  double alpha;
  const Regions* regions = nullptr;
  std::vector<Look> looks;  // one for each region

  // Of each of the regions' parts.
  const Look& of_part(size_t part) const { return part < looks.size() ? looks[part] : style; }
  // Whether a part can be painted at all: `weight` is the sum of its shares.
  bool paints(size_t part, uint64_t weight) const { return weight > 0 && (part < looks.size() || regions->paints_rest); }
};

// Levels of a WCT model, in any order; without them all that it has. Other models have none to choose.
using Levels = std::optional<std::vector<int>>;

// One engine may be used from any number of threads at once. Pictures are height x width x 3 bytes, of any size from 1 x 1.
// What a kind of model cannot do, and what belongs to a model of another kind, throws std::invalid_argument in one line.
class Engine {
 public:
  virtual ~Engine() = default;
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  Kind kind() const { return kind_; }
  const std::string& card() const { return card_; }
  // Those that a WCT model has, the deepest first; none of others.
  const std::vector<int>& levels() const { return levels_; }
  // How many styles a generator has, to choose and mix; 0 of those with one look, and of other kinds.
  int styles() const { return styles_; }

  // What a generator makes of a picture: one of the same size. `styles`: the part of each of its styles, 0..1; if empty, the
  // first alone.
  virtual void translate(const uint8_t* picture, int64_t height, int64_t width, const std::vector<double>& styles, uint8_t* out,
                         int threads) const;

  // The same in bands, with the same bytes: see tiling().
  virtual void translate(const RowIO& content, const std::vector<double>& styles, const Tiling& tiling,
                         const std::string& folder) const;

  // The others' way: the features of a content, the look of a style, and the picture of both, as large as the content. Regions
  // have statistics of their own: every sum that they are made of is one of weights of RegionGrid times bytes.
  virtual Features encode(const uint8_t* picture, int64_t height, int64_t width, const Levels& levels, int threads) const;
  virtual Look look(const uint8_t* picture, int64_t height, int64_t width, const Levels& levels, int threads) const;
  virtual void decode(const Features& features, const Painting& painting, uint8_t* picture, int threads) const;

  // The same in tiles, with the same bytes: how a picture is cut within a budget of bytes, the look of a style, and the picture
  // of a content. `decodes`: whether the tiling is for a picture, or else for a look. `folder`: see TemporaryStorage. A WCT
  // model reads a style once for each level. A generator's tiles are as wide as the picture.
  virtual Tiling tiling(int64_t height, int64_t width, const Levels& levels, int threads, uint64_t budget,
                        bool decodes) const = 0;
  virtual Look look(const RowIO& style, const Levels& levels, const Tiling& tiling) const;
  virtual void stylize(const RowIO& content, const Levels& levels, const Painting& painting, const Tiling& tiling,
                       const std::string& folder) const;

  // Bytes of working memory that a picture of this size takes at once: maps, scratch, and what is kept between two steps.
  virtual uint64_t working_bytes(int64_t height, int64_t width, const Levels& levels, int threads) const = 0;
  // Bytes for each pixel that a picture may take where nobody says how many.
  virtual uint64_t usual_bytes() const;

  // How long each layer takes; see Codec. Of AdaIN models alone.
  virtual std::vector<LayerTime> layer_times(int64_t height, int64_t width, int threads, int repeats) const;

 protected:
  explicit Engine(const Model& model);

  // The levels that are meant.
  const std::vector<int>& chosen(const Levels& levels) const;
  // Ends a call that is none for this kind of model: "this is a generator: " and why.
  [[noreturn]] void refuse_call(const std::string& why) const;
  // Ends a call with things, `wanted`, of another kind of model.
  [[noreturn]] void refuse_others(const char* wanted) const;

 private:
  Kind kind_;
  std::string card_;
  std::vector<int> levels_;
  int styles_;
};

// The engine of a model file's kind. Throws ModelError if the file is none, and as instruction_set() does.
std::unique_ptr<Engine> load_engine(const uint8_t* data, uint64_t size);

// The weighted sum of looks of one model, in the order in which they are given; weights are taken as they are. Throws
// std::invalid_argument if the looks are of different models or levels.
Look mixed(const std::vector<const Look*>& looks, const std::vector<double>& weights);

}  // namespace fastnst
