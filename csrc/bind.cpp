// The Python module fastnst._engine: the engine. The training operations are in bind_ops.cpp.
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <array>
#include <memory>
#include <system_error>
#include <tuple>

#include "base/memory.h"
#include "base/png.h"
#include "base/sha256.h"
#include "base/yuv.h"
#include "bind_hidden.h"
#include "bind_ops.h"
#include "bind_palette.h"
#include "engine/adain.h"
#include "engine/eigen.h"
#include "engine/generator.h"
#include "engine/kernels.h"
#include "engine/wct.h"
#include "lock.h"

namespace py = pybind11;
using namespace fastnst;

namespace {

using Pixels = py::array_t<uint8_t, py::array::c_style>;
using Statistics = py::array_t<double, py::array::c_style | py::array::forcecast>;

void check_threads(int threads) {
  if (threads < 1 || threads > 1024) throw std::invalid_argument("threads must be 1 to 1024, not " + std::to_string(threads));
}

void check_alpha(double alpha) {
  if (!(alpha >= 0 && alpha <= 1)) throw std::invalid_argument("alpha must be 0 to 1");
}

// Calls run() without the interpreter's lock.
template <typename Run>
auto without_lock(Run&& run) {
  const Unlocked release;
  return run();
}

// The engine of the model's kind.
py::object load(const py::bytes& data) {
  const std::string_view view = data;
  const Model model = read_model(reinterpret_cast<const uint8_t*>(view.data()), view.size());
  if (model.kind == Kind::wct) return py::cast(std::make_unique<WctEngine>(model));
  if (model.kind == Kind::generator) return py::cast(std::make_unique<GeneratorEngine>(model));
  return py::cast(std::make_unique<AdainEngine>(model));
}

Pixels as_picture(const py::array& array) {
  if (!py::isinstance<py::array_t<uint8_t>>(array) || array.ndim() != 3 || array.shape(2) != 3)
    throw std::invalid_argument("a picture must be uint8 of shape H x W x 3");
  return array;  // a copy only where rows or pixels are not side by side
}

// Calls run(pixels, height, width) without the interpreter's lock.
template <typename Run>
auto with_picture(const py::array& array, int threads, Run&& run) {
  check_threads(threads);
  const Pixels picture = as_picture(array);
  const uint8_t* pixels = picture.data();
  const int64_t height = picture.shape(0), width = picture.shape(1);
  const Unlocked release;
  return run(pixels, height, width);
}

// The picture of the size of `features` that run(pixels) fills, without the interpreter's lock.
template <typename Run>
Pixels new_picture(const Encoded& features, double alpha, int threads, Run&& run) {
  check_threads(threads);
  check_alpha(alpha);
  Pixels picture({features.height, features.width, int64_t(3)});
  uint8_t* pixels = picture.mutable_data();
  {
    const Unlocked release;
    run(pixels);
  }
  return picture;
}

// Rows of a picture in the engine's memory, for a Python function to read or fill while it is called.
py::array rows_at(const uint8_t* rows, int64_t count, int64_t width) {
  return Pixels({count, width, int64_t(3)}, rows, py::capsule(rows, [](void*) {}));  // a base, so that nothing is copied
}

// A passage whose ends are Python functions: read(first, rows), write(rows) and tell(part). They are called with the lock.
Passage passage(int64_t height, int64_t width, const py::function& read, const py::function& write, const py::function& tell,
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

void bind_tiles(py::module_& module) {
  py::class_<Tiling>(module, "Tiling")
      .def_readonly("height", &Tiling::height)
      .def_readonly("width", &Tiling::width)
      .def_readonly("in_memory", &Tiling::in_memory)
      .def_readonly("bytes", &Tiling::bytes);
  py::class_<Passage>(module, "Passage")
      .def(py::init(&passage), py::arg("height"), py::arg("width"), py::arg("read"), py::arg("write"), py::arg("tell"),
           py::arg("threads"));
}

// Rows [n, 1 + bytes] as PNG has them, rows [n, bytes] of pixels, and the row before them [bytes].
void bind_png(py::module_& module) {
  const auto check = [](const Pixels& rows, const Pixels& previous, int64_t more) {
    if (rows.ndim() != 2 || previous.ndim() != 1 || rows.shape(1) != previous.shape(0) + more)
      throw std::invalid_argument("rows of another length");
  };
  module.def("png_unfilter", [check](Pixels& rows, int64_t pixel, Pixels& previous) {
    check(rows, previous, 1);
    uint8_t *data = rows.mutable_data(), *above = previous.mutable_data();
    return without_lock(
        [&, n = rows.shape(0), bytes = previous.shape(0)] { return png_unfilter(data, n, bytes, pixel, above); });
  });
  module.def("png_filter", [check](const Pixels& rows, int64_t pixel, const Pixels& previous) {
    check(rows, previous, 0);
    Pixels filtered({rows.shape(0), rows.shape(1) + 1});
    uint8_t* to = filtered.mutable_data();
    without_lock(
        [&, n = rows.shape(0), bytes = rows.shape(1)] { png_filter(rows.data(), n, bytes, pixel, previous.data(), to); });
    return filtered;
  });
}

std::vector<double> as_vector(const Statistics& array) { return {array.data(), array.data() + array.size()}; }

py::array_t<double> as_array(const std::vector<double>& values) {
  return py::array_t<double>(py::ssize_t(values.size()), values.data());
}

// [n][n].
py::array_t<double> as_matrix(const std::vector<double>& values, size_t n) {
  return py::array_t<double>({py::ssize_t(n), py::ssize_t(n)}, values.data());
}

// A copy without border and padding: uint8 [h, w, C].
Pixels feature_array(const Encoded& features) {
  const Map& map = features.map;
  Pixels array({map.height, map.width, int64_t(features.channels)});
  for (int64_t y = 0; y < map.height; y++)
    for (int64_t x = 0; x < map.width; x++)
      std::copy_n(map.row(y) + x * map.stride, features.channels, array.mutable_data(y, x, 0));
  return array;
}

void bind_adain_engine(py::module_& module) {
  py::class_<Features>(module, "AdainFeatures")
      .def_property_readonly("height", [](const Features& f) { return f.height; })
      .def_property_readonly("width", [](const Features& f) { return f.width; })
      .def("statistics", [](const Features& f) { return py::make_tuple(as_array(f.look.mean), as_array(f.look.std)); })
      .def("array", [](const Features& f) { return feature_array(f); });

  const auto encode = [](const AdainEngine& engine, const py::array& image, int threads) {
    return with_picture(image, threads, [&](const uint8_t* pixels, int64_t height, int64_t width) {
      return engine.encode(pixels, height, width, threads);
    });
  };
  const auto decode = [](const AdainEngine& engine, const Features& features, const Statistics& mean, const Statistics& std,
                         double alpha, int threads) {
    const Look style{as_vector(mean), as_vector(std)};
    return new_picture(features, alpha, threads,
                       [&](uint8_t* pixels) { engine.decode(features, style, alpha, pixels, threads); });
  };
  const auto layer_times = [](const AdainEngine& engine, int64_t height, int64_t width, int threads, int repeats) {
    check_threads(threads);
    if (repeats < 1) throw std::invalid_argument("repeats must be 1 or more");
    std::vector<std::tuple<int, int, int, bool, bool, bool, int64_t, int64_t, double>> rows;
    const Unlocked release;
    for (const LayerTime& t : engine.layer_times(height, width, threads, repeats))
      rows.emplace_back(t.inputs, t.outputs, t.kernel, t.upsample, t.pool, t.winograd, t.height, t.width, t.seconds);
    return rows;
  };
  py::class_<AdainEngine>(module, "AdainModel")
      .def_property_readonly("card", [](const AdainEngine& engine) { return py::bytes(engine.card()); })
      .def("encode", encode, py::arg("image"), py::arg("threads"))
      .def("decode", decode, py::arg("features"), py::arg("mean"), py::arg("std"), py::arg("alpha"), py::arg("threads"))
      .def("layer_times", layer_times, py::arg("height"), py::arg("width"), py::arg("threads"), py::arg("repeats"))
      .def("tiling", &AdainEngine::tiling, py::arg("height"), py::arg("width"), py::arg("threads"), py::arg("budget"),
           py::arg("decodes"))
      .def("look_tiled",
           [](const AdainEngine& engine, const Passage& style, const Tiling& tiling) {
             const Look look = without_lock([&] { return engine.look(style, tiling); });
             return py::make_tuple(as_array(look.mean), as_array(look.std));
           })
      .def("stylize_tiled",
           [](const AdainEngine& engine, const Passage& content, const Statistics& mean, const Statistics& std, double alpha,
              const Tiling& tiling, const std::string& folder, const std::optional<Palette>& palette) {
             check_alpha(alpha);
             const Look style{as_vector(mean), as_vector(std)};
             run_with_palette(content, palette, folder,
                              [&](const Passage& passage) { engine.stylize(passage, style, alpha, tiling, folder); });
           })
      .def("working_bytes", &AdainEngine::working_bytes, py::arg("height"), py::arg("width"), py::arg("threads") = 1);
}

void bind_generator_engine(py::module_& module) {
  const auto translate = [](const GeneratorEngine& engine, const py::array& image, int threads) {
    check_threads(threads);
    const Pixels picture = as_picture(image);
    Pixels out({picture.shape(0), picture.shape(1), py::ssize_t(3)});
    const uint8_t* pixels = picture.data();
    uint8_t* target = out.mutable_data();
    {
      const Unlocked release;
      engine.translate(pixels, out.shape(0), out.shape(1), target, threads);
    }
    return out;
  };
  py::class_<GeneratorEngine>(module, "GeneratorModel")
      .def_property_readonly("card", [](const GeneratorEngine& engine) { return py::bytes(engine.card()); })
      .def("translate", translate, py::arg("image"), py::arg("threads"))
      .def("working_bytes", &GeneratorEngine::working_bytes, py::arg("height"), py::arg("width"), py::arg("threads") = 1);
}

using Levels = std::vector<int>;
using ColoringTuple = std::tuple<int, Statistics, Statistics>;  // level, mean [C], root [C, C]

std::vector<ColoringTuple> as_tuples(const std::vector<Coloring>& colorings) {
  std::vector<ColoringTuple> tuples;
  for (const Coloring& each : colorings)
    tuples.emplace_back(each.level, as_array(each.mean), as_matrix(each.root, each.mean.size()));
  return tuples;
}

std::vector<Coloring> as_colorings(const std::vector<ColoringTuple>& tuples) {
  std::vector<Coloring> colorings;
  for (const auto& [level, mean, root] : tuples) colorings.push_back({level, as_vector(mean), as_vector(root)});
  return colorings;
}

void bind_wct_engine(py::module_& module) {
  py::class_<WctFeatures>(module, "WctFeatures")
      .def_property_readonly("height", [](const WctFeatures& f) { return f.height; })
      .def_property_readonly("width", [](const WctFeatures& f) { return f.width; })
      .def_readonly("levels", &WctFeatures::levels)
      .def("statistics",
           [](const WctFeatures& f) {
             return py::make_tuple(as_array(f.moments.mean), as_matrix(f.moments.covariance, f.moments.mean.size()));
           })
      .def("array", [](const WctFeatures& f) { return feature_array(f); });

  const auto encode = [](const WctEngine& engine, const py::array& image, const Levels& levels, int threads) {
    return with_picture(image, threads, [&](const uint8_t* pixels, int64_t height, int64_t width) {
      return engine.encode(pixels, height, width, levels, threads);
    });
  };
  const auto look = [](const WctEngine& engine, const py::array& image, const Levels& levels, int threads) {
    const auto colorings = with_picture(image, threads, [&](const uint8_t* pixels, int64_t height, int64_t width) {
      return engine.look(pixels, height, width, levels, threads);
    });
    return as_tuples(colorings);
  };
  const auto decode = [](const WctEngine& engine, const WctFeatures& features, const std::vector<ColoringTuple>& look,
                         double alpha, int threads) {
    const std::vector<Coloring> style = as_colorings(look);
    return new_picture(features, alpha, threads,
                       [&](uint8_t* pixels) { engine.decode(features, style, alpha, pixels, threads); });
  };
  py::class_<WctEngine>(module, "WctModel")
      .def_property_readonly("card", [](const WctEngine& engine) { return py::bytes(engine.card()); })
      .def_property_readonly("levels", &WctEngine::levels)
      .def("encode", encode, py::arg("image"), py::arg("levels"), py::arg("threads"))
      .def("look", look, py::arg("image"), py::arg("levels"), py::arg("threads"))
      .def("decode", decode, py::arg("features"), py::arg("look"), py::arg("alpha"), py::arg("threads"))
      .def("tiling", &WctEngine::tiling, py::arg("height"), py::arg("width"), py::arg("levels"), py::arg("threads"),
           py::arg("budget"), py::arg("decodes"))
      .def("look_tiled",
           [](const WctEngine& engine, const Passage& style, const Levels& levels, const Tiling& tiling) {
             return as_tuples(without_lock([&] { return engine.look(style, levels, tiling); }));
           })
      .def("stylize_tiled",
           [](const WctEngine& engine, const Passage& content, const Levels& levels, const std::vector<ColoringTuple>& look,
              double alpha, const Tiling& tiling, const std::string& folder, const std::optional<Palette>& palette) {
             check_alpha(alpha);
             const std::vector<Coloring> style = as_colorings(look);
             run_with_palette(content, palette, folder,
                              [&](const Passage& passage) { engine.stylize(passage, levels, style, alpha, tiling, folder); });
           })
      .def("working_bytes", &WctEngine::working_bytes, py::arg("height"), py::arg("width"), py::arg("levels"),
           py::arg("threads") = 1);

  module.def("eigen", [](const Statistics& matrix) {
    if (matrix.ndim() != 2 || matrix.shape(0) != matrix.shape(1)) throw std::invalid_argument("the matrix must be square");
    const size_t n = size_t(matrix.shape(0));
    const Eigen parts = eigen(as_vector(matrix), n);
    return py::make_tuple(as_array(parts.values), as_matrix(parts.vectors, n));
  });
}

struct YuvSize {
  int64_t height, width;
  Subsampling sampling;

  std::array<py::ssize_t, 2> luma() const { return {height, width}; }
  std::array<py::ssize_t, 2> chroma() const {
    return {(height + sampling.down - 1) / sampling.down, (width + sampling.across - 1) / sampling.across};
  }
};

const uint8_t* plane(const Pixels& array, std::array<py::ssize_t, 2> shape) {
  if (array.ndim() != 2 || array.shape(0) != shape[0] || array.shape(1) != shape[1])
    throw std::invalid_argument("a plane of another size");
  return array.data();
}

// The planes are Y alone, or Y, Cb and Cr.
void bind_yuv(py::module_& module) {
  py::class_<Subsampling>(module, "Subsampling").def(py::init<int, int, bool, bool>());
  py::class_<FromYuv>(module, "FromYuv").def(py::init<int32_t, int32_t, int32_t, int32_t, int32_t, int32_t>());
  using Row = std::array<int32_t, 3>;
  py::class_<ToYuv>(module, "ToYuv").def(py::init<int32_t, Row, Row, Row>());

  module.def("yuv_to_rgb", [](const std::vector<Pixels>& planes, Subsampling sampling, const FromYuv& matrix) {
    if ((planes.size() != 1 && planes.size() != 3) || planes[0].ndim() != 2) throw std::invalid_argument("1 or 3 planes");
    const YuvSize size{planes[0].shape(0), planes[0].shape(1), sampling};
    const bool grey = planes.size() == 1;
    const uint8_t* cb = grey ? nullptr : plane(planes[1], size.chroma());
    const uint8_t* cr = grey ? nullptr : plane(planes[2], size.chroma());
    Pixels pixels({size.height, size.width, int64_t(3)});
    uint8_t* to = pixels.mutable_data();
    const uint8_t* y = planes[0].data();
    {
      const Unlocked release;
      yuv_to_rgb(y, cb, cr, size.height, size.width, sampling, matrix, to);
    }
    return pixels;
  });
  module.def("rgb_to_yuv", [](const py::array& image, Subsampling sampling, const ToYuv& matrix) {
    const Pixels picture = as_picture(image);
    const YuvSize size{picture.shape(0), picture.shape(1), sampling};
    Pixels y(size.luma()), cb(size.chroma()), cr(size.chroma());
    uint8_t *luma = y.mutable_data(), *blue = cb.mutable_data(), *red = cr.mutable_data();
    const uint8_t* from = picture.data();
    {
      const Unlocked release;
      rgb_to_yuv(from, size.height, size.width, sampling, matrix, luma, blue, red);
    }
    return py::make_tuple(y, cb, cr);
  });
}

}  // namespace

PYBIND11_MODULE(_engine, module) {
  Gate::close_at_exit();
  py::register_local_exception_translator([](std::exception_ptr thrown) {
    try {
      std::rethrow_exception(thrown);
    } catch (const std::system_error& error) {  // names a folder, whose bytes need not be UTF-8
      PyErr_SetObject(PyExc_RuntimeError, py::reinterpret_steal<py::object>(PyUnicode_DecodeFSDefault(error.what())).ptr());
    }
  });

  module.doc() = "The compiled engine. Use fastnst.engine.";

  module.def("load", &load, py::arg("data"));
  bind_tiles(module);
  bind_png(module);
  bind_hidden(module);
  bind_palette(module);
  bind_adain_engine(module);
  bind_wct_engine(module);
  bind_yuv(module);
  bind_generator_engine(module);

  module.def("instruction_sets", [] {
    std::vector<std::pair<std::string, bool>> paths;
    const KernelTable table = kernel_table();
    for (int i = 0; i < table.count; i++) {
      const Kernels& path = *table.paths[i].kernels;
      paths.emplace_back(path.name, path.supported());
    }
    return paths;
  });
  module.def("parse_bytes", &parse_bytes, py::arg("text"));
  module.def("machine_memory", &machine_memory, py::arg("root") = "");
  module.def("default_budget", &default_budget, py::arg("pixels"), py::arg("machine"));
  module.def("instruction_set", [] { return std::string(kernels().name); });
  module.def("kernel_calls", [] {
    py::dict calls;
    const KernelTable table = kernel_table();
    for (int i = 0; i < table.count; i++) {
      const Kernels& path = *table.paths[i].kernels;
      calls[path.name] = kernel_calls(path);
    }
    return calls;
  });

  module.def(
      "sha256",
      [](const py::bytes& data, bool portable) {
        const std::string_view view = data;
        const auto digest = sha256(reinterpret_cast<const uint8_t*>(view.data()), view.size(), portable);
        return py::bytes(reinterpret_cast<const char*>(digest.data()), digest.size());
      },
      py::arg("data"), py::arg("portable"));

  bind_operations(module);
}
