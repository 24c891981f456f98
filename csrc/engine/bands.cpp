// Generators in bands: what engine/schedule.h says, with maps put aside between segments.
#include <algorithm>
#include <memory>
#include <utility>

#include "base/checked.h"
#include "base/temporary_storage.h"
#include "engine/generator.h"

namespace fastnst {
namespace {

// Bytes of a map that is put aside, without its border.
uint64_t kept_bytes(const MapKind& kind, int64_t height, int64_t width) {
  const GraphMap map(kind, kind.sides.of(height), kind.sides.of(width));
  return checked_multiply(checked_multiply(uint64_t(map.height), uint64_t(map.width)), uint64_t(map.pixel_bytes()));
}

bool is_loaded_after(const std::vector<Segment>& segments, size_t s, size_t map) {
  return std::any_of(segments.begin() + int64_t(s) + 1, segments.end(),
                     [&](const Segment& later) { return later.maps[map].loaded; });
}

// The most that is put aside at once.
uint64_t most_kept(const Graph& graph, const std::vector<Segment>& segments, int64_t height, int64_t width) {
  uint64_t most = 0;
  std::vector<bool> there(graph.maps.size());
  for (size_t s = 0; s < segments.size(); s++) {
    uint64_t bytes = 0;
    for (size_t m = 0; m < there.size(); m++) {
      if (segments[s].maps[m].kept || there[m]) bytes = checked_add(bytes, kept_bytes(graph.maps[m], height, width));
      there[m] = (there[m] || segments[s].maps[m].kept) && is_loaded_after(segments, s, m);
    }
    most = std::max(most, bytes);
  }
  return most;
}

bool is_whole(const Tiling& tiling, int64_t height) { return tiling.in_memory && tiling.height >= height; }

}  // namespace

// A picture at work.
class GeneratorEngine::Bands {
 public:
  Bands(const GeneratorEngine& engine, Run run, const RowIO& io, int64_t band, const std::string& folder)
      : engine_(engine),
        graph_(engine.graph_),
        run_(std::move(run)),
        io_(io),
        row_(io.width * 3),
        band_(band),
        all_(rows_of(graph_, run_.height)),
        folder_(folder),
        kept_(graph_.maps.size()) {
    for (const Segment& segment : engine.segments_) work_ += segment.work;
  }

  void translate() {
    const std::vector<Segment>& segments = engine_.segments_;
    Workspaces::Lease lease(engine_.workspaces_);
    for (size_t s = 0; s < segments.size(); s++) {
      engine_.place(run_, segments[s], band_, (*lease).scratch);
      for (size_t m = 0; m < kept_.size(); m++)
        if (segments[s].maps[m].kept)
          kept_[m] = std::make_unique<TemporaryStorage>(kept_bytes(graph_.maps[m], run_.height, run_.width), folder_);
      translate(segments[s]);
      for (size_t m = 0; m < kept_.size(); m++)
        if (!is_loaded_after(segments, s, m)) kept_[m].reset();
    }
  }

 private:
  void translate(const Segment& segment) {
    Progression before = progress_of(graph_, segment, run_.height, 0);
    for (int64_t rows = 0; rows < all_; rows += band_) {
      Progression after = progress_of(graph_, segment, run_.height, rows + band_);
      slide(segment, before, after);
      for (size_t m = 0; m < kept_.size(); m++)
        if (segment.maps[m].loaded) load(m, before.complete[m], after.complete[m]);
      for (size_t p = 0; p < segment.passes.size(); p++) run(segment, p, before.passes[p], after.passes[p]);
      for (size_t m = 1; m < kept_.size(); m++)
        if (segment.maps[m].kept) keep(m, before.complete[m], after.complete[m]);
      done_ += segment.work * double(std::min(band_, all_ - rows));
      io_.tell(std::min(done_ / (work_ * double(all_)), 1.0));
      before = std::move(after);
    }
  }

  // Makes room for the next rows of all maps.
  void slide(const Segment& segment, const Progression& before, const Progression& after) {
    const std::vector<int64_t> needed = rows_needed(graph_, segment, run_.height, before);
    for (size_t m = 0; m < needed.size(); m++) {
      GraphMap& map = run_.maps[m];
      // The border below is filled from the last rows, and so with them.
      const auto end = [&](int64_t rows) { return rows + map.border >= map.height ? map.height + map.border : rows; };
      if (segment.maps[m].here()) map.slide(std::max(needed[m], map.first), end(before.begun[m]), end(after.begun[m]));
    }
  }

  void load(size_t m, int64_t begin, int64_t end) {
    if (m == 0) return load_picture(begin, end);
    const GraphMap& map = run_.maps[m];
    const uint64_t row = uint64_t(map.width * map.pixel_bytes());
    for (int64_t y = begin; y < end; y++) {
      kept_[m]->read(uint64_t(y) * row, map.row(y), row);
      map.fill_border(y, graph_.maps[m]);
    }
  }

  // Rows that have not been read yet are read, and put aside.
  void load_picture(int64_t begin, int64_t end) {
    picture_.reserve(size_t(std::max<int64_t>(end - begin, 0) * row_));
    const auto place = [&](int64_t y) { return picture_.data() + (y - begin) * row_; };
    const int64_t old = std::clamp(read_, begin, end), own = std::clamp(io_.height, begin, end);
    if (old < own) {
      io_.read(old, own - old, place(old));
      kept_[0]->write(uint64_t(old * row_), place(old), uint64_t((own - old) * row_));
      read_ = own;
    }
    for (int64_t y = begin; y < end; y++)
      if (y < old || y >= own) kept_[0]->read(uint64_t(reflected(y, io_.height) * row_), place(y), uint64_t(row_));
    engine_.load(run_, begin, end, place);
  }

  void keep(size_t m, int64_t begin, int64_t end) {
    const GraphMap& map = run_.maps[m];
    const uint64_t row = uint64_t(map.width * map.pixel_bytes());
    for (int64_t y = begin; y < end; y++) kept_[m]->write(uint64_t(y) * row, map.row(y), row);
  }

  void run(const Segment& segment, size_t p, int64_t from, int64_t to) {
    const Pass& pass = segment.passes[p];
    if (!std::holds_alternative<Paint>(graph_.nodes[pass.nodes.back()])) return engine_.run_pass(run_, segment, pass, from, to);
    const int64_t last = std::min(to, io_.height);
    out_.reserve(size_t(std::max<int64_t>(last - from, 0) * row_));
    run_.out = out_.data() - from * row_;
    engine_.run_pass(run_, segment, pass, from, to);
    if (from < last) io_.write(out_.data(), last - from);
  }

  const GeneratorEngine& engine_;
  const Graph& graph_;
  Run run_;
  const RowIO& io_;
  const int64_t row_;         // bytes of the picture's
  const int64_t band_, all_;  // rows of the picture, extended to whole rows of all maps
  const std::string folder_;
  std::vector<std::unique_ptr<TemporaryStorage>> kept_;
  Buffer picture_, out_;  // rows
  int64_t read_ = 0;
  double work_ = 0, done_ = 0;
};

std::vector<Segment> GeneratorEngine::segments_of(const Graph& graph) { return banded_schedule(graph); }

std::vector<int64_t> GeneratorEngine::windows(const Segment& segment, int64_t height, int64_t band) const {
  return window_rows(graph_, segment, height, band);
}

Tiling GeneratorEngine::tiling(int64_t height, int64_t width, const Levels& levels, int threads, uint64_t budget,
                               bool decodes) const {
  if (!decodes) refuse_call("it takes no style");
  const int64_t h = extended(height), w = extended(width), all = rows_of(graph_, h);
  const uint64_t row = uint64_t(width) * 3;
  const Tiling whole = at_once(height, width, levels, threads);
  if (whole.bytes <= budget) return whole;
  const uint64_t kept = most_kept(graph_, segments_, h, w);
  uint64_t least = whole.bytes;
  for (const bool in_memory : {true, false})
    for (const int64_t band : tile_sides(all, band_unit(graph_))) {
      Tiling tiling{band, width, in_memory, 0};
      if (is_whole(tiling, height)) continue;
      for (const Segment& segment : segments_) {
        const Progression first = progress_of(graph_, segment, h, band);
        const uint64_t rows = uint64_t(first.complete[0]) + uint64_t(first.passes.back());  // as much as any band
        tiling.bytes = std::max(tiling.bytes, checked_add(lay_out(segment, h, w, band).bytes, rows * row));
      }
      tiling.bytes = checked_add(checked_add(tiling.bytes, sum_bytes(threads)), in_memory ? kept : 0);
      if (tiling.bytes <= budget) return tiling;
      least = std::min(least, tiling.bytes);
    }
  refuse_budget(height, width, least, budget);
}

void GeneratorEngine::translate(const RowIO& content, const std::vector<double>& styles, const Tiling& tiling,
                                const std::string& folder) const {
  if (is_whole(tiling, content.height)) return translate_at_once(content, styles);
  Bands(*this, prepare(content.height, content.width, styles, content.threads), content, tiling.height,
        tiling.in_memory ? "" : folder)
      .translate();
}

}  // namespace fastnst
