// Of the Python module: models, features, looks, tiles.
#include "engine/engine.h"

#include <pybind11/stl.h>

#include <array>
#include <functional>
#include <memory>
#include <optional>
#include <tuple>

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

void stylize_tiled(const Engine& engine, const RowIO& content, const Levels& levels, const std::vector<LevelTuple>& style,
                   double alpha, const Tiling& tiling, const std::string& folder, const std::optional<PaletteTuple>& palette) {
  check_alpha(alpha);
  const Look look = as_look(style);
  const auto run = [&](const RowIO& io) { engine.stylize(io, levels, look, alpha, tiling, folder); };
  if (!palette) return without_lock([&] { run(content); });
  const Colors colors = as_colors(std::get<0>(*palette));
  const double strength = std::get<1>(*palette);
  without_lock([&] {
    Recoloring recoloring(content, colors, strength, folder);
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

  const auto translate = [](const Engine& engine, const py::array& image, int threads) {
    check_threads(threads);
    const Pixels picture = as_picture(image);
    const uint8_t* from = picture.data();
    const int64_t height = picture.shape(0), width = picture.shape(1);
    return new_picture(height, width, [&](uint8_t* out) { engine.translate(from, height, width, out, threads); });
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
  const auto decode = [](const Engine& engine, const Features& features, const std::vector<LevelTuple>& style, double alpha,
                         int threads) {
    check_threads(threads);
    check_alpha(alpha);
    const Look look = as_look(style);
    return new_picture(features.height, features.width,
                       [&](uint8_t* out) { engine.decode(features, look, alpha, out, threads); });
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
      .def("translate", translate, py::arg("image"), py::arg("threads"))
      .def("encode", encode, py::arg("image"), py::arg("levels"), py::arg("threads"))
      .def("look", look, py::arg("image"), py::arg("levels"), py::arg("threads"))
      .def("decode", decode, py::arg("features"), py::arg("look"), py::arg("alpha"), py::arg("threads"))
      .def("tiling", &Engine::tiling, py::arg("height"), py::arg("width"), py::arg("levels"), py::arg("threads"),
           py::arg("budget"), py::arg("decodes"))
      .def("look_tiled", look_tiled, py::arg("style"), py::arg("levels"), py::arg("tiling"))
      .def("stylize_tiled", &stylize_tiled, py::arg("content"), py::arg("levels"), py::arg("look"), py::arg("alpha"),
           py::arg("tiling"), py::arg("folder"), py::arg("palette"))
      .def("working_bytes", &Engine::working_bytes, py::arg("height"), py::arg("width"), py::arg("levels"), py::arg("threads"))
      .def("layer_times", layer_times, py::arg("height"), py::arg("width"), py::arg("threads"), py::arg("repeats"));
  module.def("load", &load, py::arg("data"));
}

}  // namespace

void bind_engine(py::module_& module) {
  bind_tiles(module);
  bind_colors(module);
  bind_models(module);
  module.def("eigen", [](const Doubles& matrix) {
    if (matrix.ndim() != 2 || matrix.shape(0) != matrix.shape(1)) throw std::invalid_argument("the matrix must be square");
    const size_t n = size_t(matrix.shape(0));
    const Eigen parts = eigen(as_vector(matrix), n);
    return py::make_tuple(as_array(parts.values), as_matrix(parts.vectors, n));
  });
}

}  // namespace fastnst
