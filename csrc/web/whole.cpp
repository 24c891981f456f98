// Generators of a page take pictures at once, in place of csrc/engine/bands.cpp: what bands put aside would be in memory here,
// and their code is a sixteenth of a module that has to be transferred first.
#include "engine/generator.h"

namespace fastnst {

std::vector<Segment> GeneratorEngine::segments_of(const Graph&) { return {}; }

std::vector<int64_t> GeneratorEngine::windows(const Segment&, int64_t, int64_t) const { return {}; }

Tiling GeneratorEngine::tiling(int64_t height, int64_t width, const Levels& levels, int threads, uint64_t budget,
                               bool decodes) const {
  if (!decodes) refuse_call("it takes no style");
  const Tiling whole = at_once(height, width, levels, threads);
  if (whole.bytes > budget) refuse_budget(height, width, whole.bytes, budget);
  return whole;
}

void GeneratorEngine::translate(const RowIO& content, const std::vector<double>& styles, const Tiling&,
                                const std::string&) const {
  translate_at_once(content, styles);
}

}  // namespace fastnst
