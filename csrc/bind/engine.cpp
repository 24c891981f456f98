// Of the Python module: models, features, looks, tiles.
#include "engine/engine.h"

#include <pybind11/stl.h>

#include <array>
#include <functional>
#include <memory>
#include <optional>
#include <tuple>
#include <utility>

#include "bind/arrays.h"
#include "bind/bind.h"
#include "engine/eigen.h"
#include "engine/palette.h"

namespace py = pybind11;

namespace fastnst {
namespace {

void check_alpha(double alpha) {
  if (!(alpha >= 0 && alpha <= 1)) throw std::invalid_argument("alpha must be 0 to 1");
}

// --- looks and colours ---

using LevelTuple = std::tuple<int, Doubles, Doubles>;  // level, mean [C], spread [C] or [C, C]

// Mean and spread; a spread of C x C numbers is a matrix.
std::pair<py::array_t<double>, py::array_t<double>> as_arrays(const Statistics& statistics) {
  const auto& [mean, spread] = statistics;
  return {as_array(mean), spread.size() == mean.size() ? as_array(spread) : as_matrix(spread, mean.size())};
}

std::vector<LevelTuple> as_tuples(const Look& look) {
  std::vector<LevelTuple> tuples;
  for (const LevelLook& each : look) {
    const auto [mean, spread] = as_arrays(each.statistics);
    tuples.emplace_back(each.level, mean, spread);
  }
  return tuples;
}

Look as_look(const std::vector<LevelTuple>& tuples) {
  Look look;
  for (const auto& [level, mean, spread] : tuples) look.push_back({level, {as_vector(mean), as_vector(spread)}});
  return look;
}

using ColorTuple = std::tuple<Doubles, Doubles>;      // mean [3], covariance [3, 3]
using PaletteTuple = std::tuple<ColorTuple, double>;  // the style's colours, and the strength

Colors as_colors(const ColorTuple& statistics) {
  const auto& [mean, covariance] = statistics;
  if (mean.size() != 3 || covariance.size() != 9) throw std::invalid_argument("colours are a mean [3] and a covariance [3, 3]");
  Colors colors{};
  std::copy_n(mean.data(), 3, colors.mean.begin());
  std::copy_n(covariance.data(), 9, colors.covariance.begin());
  return colors;
}

void check_rows(const Pixels& rows) {
  if (rows.ndim() != 3 || rows.shape(2) != 3) throw std::invalid_argument("a picture must be uint8 of shape H x W x 3");
}

void bind_colors(py::module_& module) {
  py::class_<ColorSums>(module, "ColorSums")
      .def(py::init())
      .def(
          "add",
          [](ColorSums& sums, const Pixels& rows, int threads) {
            check_rows(rows);
            const uint8_t* pixels = rows.data();
            const int64_t count = rows.shape(0) * rows.shape(1);
            without_lock([&] { sums.add(pixels, count, threads); });
          },
          py::arg("rows").noconvert(), py::arg("threads"))
      .def("colors", [](const ColorSums& sums) {
        const Colors colors = sums.colors();
        return py::make_tuple(py::array_t<double>(3, colors.mean.data()),
                              py::array_t<double>({3, 3}, colors.covariance.data()));
      });
  module.def(
      "map_colors",
      [](Pixels& picture, const ColorTuple& from, const ColorTuple& to, double strength, int threads) {
        check_rows(picture);
        const ColorMap map = color_map(as_colors(from), as_colors(to), strength);
        uint8_t* pixels = picture.mutable_data();
        const int64_t count = picture.shape(0) * picture.shape(1);
        without_lock([&] { map_colors(map, pixels, count, threads); });
      },
      py::arg("picture").noconvert(), py::arg("source"), py::arg("target"), py::arg("strength"), py::arg("threads"));
}

// --- regions ---

std::vector<Palette> as_palettes(const py::list& tuples) {
  std::vector<Palette> palettes;
  for (const py::handle& each : tuples) {
    const auto [colors, strength] = each.cast<PaletteTuple>();
    palettes.push_back({as_colors(colors), strength});
  }
  return palettes;
}

// Regions, and the grid of the pixels of the picture that they were last asked about.
struct BoundRegions {
  const Regions regions;

  // With the interpreter's lock.
  std::shared_ptr<const RegionGrid> pixels(int64_t height, int64_t width) {
    if (!grid_ || height != height_ || width != width_) {
      grid_ = std::make_shared<RegionGrid>(regions, height, width, 1);
      height_ = height, width_ = width;
    }
    return grid_;
  }

  explicit BoundRegions(Regions of) : regions(std::move(of)) {}

 private:
  std::shared_ptr<const RegionGrid> grid_;
  int64_t height_ = 0, width_ = 0;
};

Mask as_mask(const py::handle& array) {
  const auto values = array.cast<Pixels>();
  if (values.ndim() != 2) throw std::invalid_argument("a mask must be uint8 of shape H x W");
  return Mask(values.shape(0), values.shape(1), values.data());
}

std::unique_ptr<BoundRegions> regions_of(const py::list& masks, const py::object& strength, bool paints_rest) {
  Regions regions{{}, {}, paints_rest};
  for (const py::handle& mask : masks) regions.masks.push_back(as_mask(mask));
  if (!strength.is_none()) regions.strength = as_mask(strength);
  return std::make_unique<BoundRegions>(std::move(regions));
}

// Of each cell of a grid: uint16 [rows, parts, columns].
py::array weights_of(const BoundRegions& bound, int64_t height, int64_t width, int64_t step, bool painted) {
  const RegionGrid grid(bound.regions, height, width, step);
  const int64_t rows = (height + step - 1) / step, columns = (width + step - 1) / step;
  const int64_t parts = int64_t(grid.parts()) + painted;
  py::array_t<uint16_t> weights({rows, parts, columns});
  uint16_t* row = weights.mutable_data();
  CellWeights cells{size_t(parts)};
  for (int64_t y = 0; y < rows; y++, row += parts * columns)
    for (int64_t x = 0, count = 0; x < columns; x += count) {
      count = std::min(cells.stride, columns - x);
      painted ? grid.painted(y, x, count, cells) : grid.shares(y, x, count, cells);
      for (int64_t part = 0; part < parts; part++) std::copy_n(cells.of(size_t(part)), count, row + part * columns + x);
    }
  return weights;
}

void recolor(BoundRegions& bound, Pixels& picture, const py::list& palettes, int threads) {
  check_rows(picture);
  const int64_t height = picture.shape(0), width = picture.shape(1);
  const auto grid = bound.pixels(height, width);
  PaletteStep step(as_palettes(palettes), &*grid, width);
  uint8_t* rows = picture.mutable_data();
  without_lock([&] {
    step.add(rows, 0, height, threads);
    step.settle();
    step.apply(rows, 0, height, threads);
  });
}

// Of a picture of `height` rows those from `first` on.
void keep_rest_of(BoundRegions& bound, int64_t height, int64_t first, const Pixels& content, Pixels& result, int threads) {
  check_rows(content);
  check_rows(result);
  const int64_t count = content.shape(0), width = content.shape(1);
  if (result.shape(0) != count || result.shape(1) != width || first < 0 || first > height - count)
    throw std::invalid_argument("rows of another size than the picture's");
  const auto grid = bound.pixels(height, width);
  const uint8_t* from = content.data();
  uint8_t* to = result.mutable_data();
  without_lock([&] { keep_rest(*grid, from, to, first, count, width, threads); });
}

void bind_regions(py::module_& module) {
  py::class_<BoundRegions>(module, "Regions")
      .def(py::init(&regions_of))
      .def("weights", &weights_of)
      .def("recolor", &recolor, py::arg().noconvert(), py::arg(), py::arg())
      .def("keep_rest", &keep_rest_of, py::arg(), py::arg(), py::arg(), py::arg().noconvert(), py::arg());
}

// --- tiles ---

// Rows of a picture in the engine's memory, for a Python function to read or fill while it is called.
py::array rows_at(const uint8_t* rows, int64_t count, int64_t width) {
  return Pixels({count, width, int64_t(3)}, rows, py::capsule(rows, [](void*) {}));  // a base, so that nothing is copied
}

// A RowIO of Python functions: read(first, rows), write(rows) and tell(part), which are called with the lock held.
RowIO row_io(int64_t height, int64_t width, const py::function& read, const py::function& write, const py::function& tell,
             int threads) {
  check_threads(threads);
  return {height,
          width,
          [=](int64_t first, int64_t count, uint8_t* rows) {
            const Locked lock;
            read(first, rows_at(rows, count, width));
          },
          [=](const uint8_t* rows, int64_t count) {
            const Locked lock;
            write(rows_at(rows, count, width));
          },
          [=](double part) {
            const Locked lock;
            tell(part);
          },
          threads};
}

using LookTuple = std::vector<LevelTuple>;

// `looks`: of `regions`, if there are any.
Painting as_painting(const LookTuple& style, double alpha, const BoundRegions* regions, const py::list& looks) {
  check_alpha(alpha);
  Painting painting{as_look(style), alpha, regions == nullptr ? nullptr : &regions->regions, {}};
  for (const py::handle& look : looks) painting.looks.push_back(as_look(look.cast<LookTuple>()));
  if (painting.looks.size() != (regions == nullptr ? 0 : regions->regions.masks.size()))
    throw std::invalid_argument("there must be one look for each region");
  return painting;
}

// `styles`: of a generator, which takes nothing of the rest but palettes.
void stylize_tiled(const Engine& engine, const RowIO& content, const Levels& levels, const LookTuple& style, double alpha,
                   const Tiling& tiling, const std::string& folder, const py::list& tuples, BoundRegions* palette_regions,
                   const BoundRegions* regions, const py::list& looks, const std::vector<double>& styles) {
  const Painting painting = as_painting(style, alpha, regions, looks);
  const auto run = [&](const RowIO& io) {
    if (engine.kind() == Kind::generator) return engine.translate(io, styles, tiling, folder);
    engine.stylize(io, levels, painting, tiling, folder);
  };
  if (tuples.empty()) return without_lock([&] { run(content); });
  std::vector<Palette> palettes = as_palettes(tuples);
  std::shared_ptr<const RegionGrid> grid;
  if (palette_regions != nullptr) grid = palette_regions->pixels(content.height, content.width);
  without_lock([&] {
    PaletteStep step(std::move(palettes), grid.get(), content.width);
    Recoloring recoloring(content, step, folder);
    run(recoloring.before());
    recoloring.finish();
  });
}

void bind_tiles(py::module_& module) {
  py::class_<Tiling>(module, "Tiling")
      .def_readonly("height", &Tiling::height)
      .def_readonly("width", &Tiling::width)
      .def_readonly("in_memory", &Tiling::in_memory)
      .def_readonly("bytes", &Tiling::bytes);
  py::class_<RowIO>(module, "RowIO")
      .def(py::init(&row_io), py::arg("height"), py::arg("width"), py::arg("read"), py::arg("write"), py::arg("tell"),
           py::arg("threads"));
}

// --- models ---

std::unique_ptr<Engine> load(const py::bytes& data) {
  const std::string_view view = data;
  return load_engine(reinterpret_cast<const uint8_t*>(view.data()), view.size());
}

const char* kind_of(const Engine& engine) {
  return engine.kind() == Kind::adain ? "adain" : engine.kind() == Kind::wct ? "wct" : "generator";
}

// Calls run(pixels, height, width) without the interpreter's lock.
template <typename Run>
auto with_picture(const py::array& array, int threads, Run&& run) {
  check_threads(threads);
  const Pixels picture = as_picture(array);
  const uint8_t* pixels = picture.data();
  const int64_t height = picture.shape(0), width = picture.shape(1);
  return without_lock([&] { return run(pixels, height, width); });
}

// A new picture that run(pixels) fills, without the interpreter's lock.
template <typename Run>
Pixels new_picture(int64_t height, int64_t width, Run&& run) {
  Pixels picture({height, width, int64_t(3)});
  uint8_t* pixels = picture.mutable_data();
  without_lock([&] { run(pixels); });
  return picture;
}

// A copy without border and padding: uint8 [h, w, C].
Pixels feature_array(const Features& features) {
  const Map& map = features.map;
  Pixels array({map.height, map.width, int64_t(features.channels)});
  for (int64_t y = 0; y < map.height; y++)
    for (int64_t x = 0; x < map.width; x++)
      std::copy_n(map.row(y) + x * map.stride, features.channels, array.mutable_data(y, x, 0));
  return array;
}

void bind_models(py::module_& module) {
  py::class_<Features>(module, "Features")
      .def_property_readonly("height", [](const Features& features) { return features.height; })
      .def_property_readonly("width", [](const Features& features) { return features.width; })
      .def_readonly("levels", &Features::levels)
      .def("statistics", [](const Features& features) { return as_arrays(features.statistics); })
      .def("array", &feature_array);

  const auto translate = [](const Engine& engine, const py::array& image, const std::vector<double>& styles, int threads) {
    check_threads(threads);
    const Pixels picture = as_picture(image);
    const uint8_t* from = picture.data();
    const int64_t height = picture.shape(0), width = picture.shape(1);
    return new_picture(height, width, [&](uint8_t* out) { engine.translate(from, height, width, styles, out, threads); });
  };
  const auto encode = [](const Engine& engine, const py::array& image, const Levels& levels, int threads) {
    return with_picture(image, threads, [&](const uint8_t* pixels, int64_t height, int64_t width) {
      return engine.encode(pixels, height, width, levels, threads);
    });
  };
  const auto look = [](const Engine& engine, const py::array& image, const Levels& levels, int threads) {
    return as_tuples(with_picture(image, threads, [&](const uint8_t* pixels, int64_t height, int64_t width) {
      return engine.look(pixels, height, width, levels, threads);
    }));
  };
  const auto decode = [](const Engine& engine, const Features& features, const LookTuple& style, double alpha, int threads,
                         const BoundRegions* regions, const py::list& looks) {
    check_threads(threads);
    const Painting painting = as_painting(style, alpha, regions, looks);
    return new_picture(features.height, features.width, [&](uint8_t* out) { engine.decode(features, painting, out, threads); });
  };
  const auto layer_times = [](const Engine& engine, int64_t height, int64_t width, int threads, int repeats) {
    check_threads(threads);
    if (repeats < 1) throw std::invalid_argument("repeats must be 1 or more");
    std::vector<std::tuple<int, int, int, bool, bool, bool, int64_t, int64_t, double>> rows;
    const Unlocked release;
    for (const LayerTime& t : engine.layer_times(height, width, threads, repeats))
      rows.emplace_back(t.inputs, t.outputs, t.kernel, t.upsample, t.pool, t.winograd, t.height, t.width, t.seconds);
    return rows;
  };
  const auto look_tiled = [](const Engine& engine, const RowIO& style, const Levels& levels, const Tiling& tiling) {
    return as_tuples(without_lock([&] { return engine.look(style, levels, tiling); }));
  };
  py::class_<Engine>(module, "Model")
      .def_property_readonly("kind", &kind_of)
      .def_property_readonly("card", [](const Engine& engine) { return py::bytes(engine.card()); })
      .def_property_readonly("levels", &Engine::levels)
      .def_property_readonly("styles", &Engine::styles)
      .def_property_readonly("usual_bytes", &Engine::usual_bytes)
      .def("translate", translate, py::arg("image"), py::arg("styles"), py::arg("threads"))
      .def("encode", encode, py::arg("image"), py::arg("levels"), py::arg("threads"))
      .def("look", look, py::arg("image"), py::arg("levels"), py::arg("threads"))
      .def("decode", decode, py::arg("features"), py::arg("look"), py::arg("alpha"), py::arg("threads"), py::arg("regions"),
           py::arg("looks"))
      .def("tiling", &Engine::tiling, py::arg("height"), py::arg("width"), py::arg("levels"), py::arg("threads"),
           py::arg("budget"), py::arg("decodes"))
      .def("look_tiled", look_tiled, py::arg("style"), py::arg("levels"), py::arg("tiling"))
      .def("stylize_tiled", &stylize_tiled, py::arg("content"), py::arg("levels"), py::arg("look"), py::arg("alpha"),
           py::arg("tiling"), py::arg("folder"), py::arg("palettes"), py::arg("palette_regions"), py::arg("regions"),
           py::arg("looks"), py::arg("styles"))
      .def("working_bytes", &Engine::working_bytes, py::arg("height"), py::arg("width"), py::arg("levels"), py::arg("threads"))
      .def("layer_times", layer_times, py::arg("height"), py::arg("width"), py::arg("threads"), py::arg("repeats"));
  module.def("load", &load, py::arg("data"));
}

}  // namespace

void bind_engine(py::module_& module) {
  bind_tiles(module);
  bind_colors(module);
  bind_regions(module);
  bind_models(module);
  module.def("eigen", [](const Doubles& matrix) {
    if (matrix.ndim() != 2 || matrix.shape(0) != matrix.shape(1)) throw std::invalid_argument("the matrix must be square");
    const size_t n = size_t(matrix.shape(0));
    const Eigen parts = eigen(as_vector(matrix), n);
    return py::make_tuple(as_array(parts.values), as_matrix(parts.vectors, n));
  });
}

}  // namespace fastnst
