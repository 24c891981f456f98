#include "engine/engine.h"

#include <stdexcept>

#include "base/memory.h"
#include "engine/adain.h"
#include "engine/generator.h"
#include "engine/wct.h"

namespace fastnst {
namespace {

const char* described(Kind kind) {
  return kind == Kind::adain ? "an AdaIN model" : kind == Kind::wct ? "a WCT model" : "a generator";
}

// sum += values * weight.
void add_weighted(std::vector<double>& sum, const std::vector<double>& values, double weight) {
  if (sum.size() != values.size()) throw std::invalid_argument("looks of different models cannot be mixed");
  for (size_t i = 0; i < sum.size(); i++) sum[i] += values[i] * weight;
}

}  // namespace

Engine::Engine(const Model& model) : kind_(model.kind), card_(model.card), styles_(model.graph.styles) {
  kernels();  // an instruction set that cannot run is reported when a model is loaded, not later
  if (kind_ == Kind::wct)
    for (const Stage& stage : model.stages) levels_.push_back(int(stage.number));
}

const std::vector<int>& Engine::chosen(const Levels& levels) const {
  if (!levels) return levels_;
  if (levels_.empty()) throw std::invalid_argument(std::string("levels are WCT's to choose; this is ") + described(kind_));
  return *levels;
}

void Engine::refuse_call(const std::string& why) const {
  throw std::invalid_argument(std::string("this is ") + described(kind_) + ": " + why);
}

void Engine::refuse_others(const char* wanted) const {
  refuse_call(std::string("it takes ") + wanted + " of " + (kind_ == Kind::adain ? "AdaIN" : "WCT") + " models");
}

void Engine::translate(const uint8_t*, int64_t, int64_t, const std::vector<double>&, uint8_t*, int) const {
  refuse_call("it needs a style");
}

Features Engine::encode(const uint8_t*, int64_t, int64_t, const Levels&, int) const { refuse_call("it takes no style"); }

Look Engine::look(const uint8_t*, int64_t, int64_t, const Levels&, int) const { refuse_call("it takes no style"); }

void Engine::decode(const Features&, const Painting&, uint8_t*, int) const { refuse_call("it takes no style"); }

void Engine::translate(const RowIO&, const std::vector<double>&, const Tiling&, const std::string&) const {
  refuse_call("it needs a style");
}

Look Engine::look(const RowIO&, const Levels&, const Tiling&) const { refuse_call("it takes no style"); }

void Engine::stylize(const RowIO&, const Levels&, const Painting&, const Tiling&, const std::string&) const {
  refuse_call("it takes no style");
}

uint64_t Engine::usual_bytes() const { return kUsualBytes; }

std::vector<LayerTime> Engine::layer_times(int64_t, int64_t, int, int) const {
  refuse_call("layers are timed of AdaIN models alone");
}

std::unique_ptr<Engine> load_engine(const uint8_t* data, uint64_t size) {
  const Model model = read_model(data, size);
  if (model.kind == Kind::wct) return std::make_unique<WctEngine>(model);
  if (model.kind == Kind::generator) return std::make_unique<GeneratorEngine>(model);
  return std::make_unique<AdainEngine>(model);
}

Look mixed(const std::vector<const Look*>& looks, const std::vector<double>& weights) {
  if (looks.empty() || looks.size() != weights.size()) throw std::invalid_argument("there must be one weight for each look");
  Look sum;
  for (const LevelLook& each : *looks.front())
    sum.push_back(
        {each.level, {std::vector<double>(each.statistics.mean.size()), std::vector<double>(each.statistics.spread.size())}});
  for (size_t i = 0; i < looks.size(); i++) {
    if (looks[i]->size() != sum.size()) throw std::invalid_argument("looks of different levels cannot be mixed");
    for (size_t k = 0; k < sum.size(); k++) {
      const LevelLook& part = (*looks[i])[k];
      if (part.level != sum[k].level) throw std::invalid_argument("looks of different levels cannot be mixed");
      add_weighted(sum[k].statistics.mean, part.statistics.mean, weights[i]);
      add_weighted(sum[k].statistics.spread, part.statistics.spread, weights[i]);
    }
  }
  return sum;
}

}  // namespace fastnst
