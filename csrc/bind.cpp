// The Python module fastnst._engine. With lock.h, all that knows Python.
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <array>
#include <cstdlib>
#include <exception>
#include <memory>
#include <new>
#include <system_error>
#include <tuple>

#include "base/buffer.h"
#include "base/kept.h"
#include "base/pages.h"
#include "base/parallel.h"
#include "base/png.h"
#include "base/sha256.h"
#include "base/yuv.h"
#include "engine/adain.h"
#include "engine/eigen.h"
#include "engine/generator.h"
#include "engine/wct.h"
#include "lock.h"
#include "ops/adain.h"
#include "ops/embedding.h"
#include "ops/perceptual.h"
#include "ops/relation.h"
#include "ops/wct.h"

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
              const Tiling& tiling, const std::string& folder) {
             check_alpha(alpha);
             const Look style{as_vector(mean), as_vector(std)};
             without_lock([&] { engine.stylize(content, style, alpha, tiling, folder); });
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
              double alpha, const Tiling& tiling, const std::string& folder) {
             check_alpha(alpha);
             const std::vector<Coloring> style = as_colorings(look);
             without_lock([&] { engine.stylize(content, levels, style, alpha, tiling, folder); });
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

// A tensor's memory by its address; 0 stands for none.
template <typename T>
T* memory(uintptr_t address) {
  return reinterpret_cast<T*>(address);
}

// Training operations run without the interpreter's lock, between PyTorch's own.
const auto kReleased = py::call_guard<Unlocked, OpenMpTeam>();

// Calls run(operations, shape, scratch) in the same way.
template <typename Run>
void run_adain(const MapShape& shape, int threads, Run&& run) {
  const Unlocked release;
  const OpenMpTeam team;
  const AdainOps& ops = FASTNST_CHOOSE(adain);
  Buffer scratch(size_t(ops.scratch_size(shape, threads)) * sizeof(double));
  run(ops, reinterpret_cast<double*>(scratch.data()));
}

void bind_adain(py::module_& module) {
  using Address = uintptr_t;
  py::class_<MapShape>(module, "MapShape")
      .def(py::init<int, int64_t, int64_t, int64_t>(), py::arg("element"), py::arg("images"), py::arg("positions"),
           py::arg("channels"));
  module.def("adain_channel_stats", [](const MapShape& shape, Address x, double eps, Address mean, Address std, int threads) {
    run_adain(shape, threads, [&](const AdainOps& ops, double* scratch) {
      ops.channel_stats(shape, memory<void>(x), eps, memory<float>(mean), memory<float>(std), scratch, threads);
    });
  });
  module.def("adain_channel_stats_backward", [](const MapShape& shape, Address grad_mean, Address grad_std, Address x,
                                                Address mean, Address std, Address dx, int threads) {
    run_adain(shape, threads, [&](const AdainOps& ops, double* scratch) {
      ops.channel_stats_backward(shape, memory<float>(grad_mean), memory<float>(grad_std), memory<void>(x), memory<float>(mean),
                                 memory<float>(std), memory<void>(dx), scratch, threads);
    });
  });
  module.def("adain_apply", [](const MapShape& shape, Address content, Address style_mean, Address style_std, double eps,
                               Address out, Address mean, Address std, int threads) {
    run_adain(shape, threads, [&](const AdainOps& ops, double* scratch) {
      ops.apply(shape, memory<void>(content), memory<float>(style_mean), memory<float>(style_std), eps, memory<void>(out),
                memory<float>(mean), memory<float>(std), scratch, threads);
    });
  });
  module.def("adain_apply_backward",
             [](const MapShape& shape, Address grad, Address content, Address mean, Address std, Address style_std,
                Address dcontent, Address dstyle_mean, Address dstyle_std, int threads) {
               run_adain(shape, threads, [&](const AdainOps& ops, double* scratch) {
                 ops.apply_backward(shape, memory<void>(grad), memory<void>(content), memory<float>(mean), memory<float>(std),
                                    memory<float>(style_std), memory<void>(dcontent), memory<float>(dstyle_mean),
                                    memory<float>(dstyle_std), scratch, threads);
               });
             });
}

// images, height, channels and width of the student, the same of the teacher, patch size, cuts
using RelationSizes = std::array<int64_t, 8>;

RelationSets relation_sets(uintptr_t student, uintptr_t teacher, const RelationSizes& sizes, int threads, uintptr_t scratch) {
  const auto [images, height, channels, width, teacher_channels, teacher_width, patch, cuts] = sizes;
  return {memory<const float>(student),
          memory<const float>(teacher),
          images,
          height,
          {channels, teacher_channels},
          {width, teacher_width},
          patch,
          int(cuts),
          threads,
          memory<float>(scratch)};
}

void bind_relation(py::module_& module) {
  module.def("relation_memory", [](bool teacher, const RelationSizes& sizes) {
    const RelationMemory floats = FASTNST_CHOOSE(relation).memory(relation_sets(0, teacher, sizes, 1, 0));
    return py::make_tuple(floats.each_thread, floats.each_image, floats.weights);
  });
  module.def(
      "relation_pairwise",
      [](uintptr_t items, const RelationSizes& sizes, bool squared, float eps, uintptr_t out, int threads, uintptr_t scratch) {
        FASTNST_CHOOSE(relation).pairwise(relation_sets(items, 0, sizes, threads, scratch), squared, eps, memory<float>(out));
      },
      kReleased);
  module.def(
      "relation_pairwise_weights",
      [](uintptr_t grad, uintptr_t items, const RelationSizes& sizes, bool squared, float eps, uintptr_t weights, int threads,
         uintptr_t scratch) {
        FASTNST_CHOOSE(relation).pairwise_weights(relation_sets(items, 0, sizes, threads, scratch), memory<const float>(grad),
                                                  squared, eps, memory<float>(weights));
      },
      kReleased);
  module.def(
      "relation_losses",
      [](uintptr_t student, uintptr_t teacher, const RelationSizes& sizes, double distance_weight, double angle_weight,
         uintptr_t losses, uintptr_t weights, int threads, uintptr_t scratch) {
        FASTNST_CHOOSE(relation).losses(relation_sets(student, teacher, sizes, threads, scratch), distance_weight, angle_weight,
                                        memory<float>(losses), memory<float>(weights));
      },
      kReleased);
  module.def(
      "relation_backward",
      [](uintptr_t grad, uintptr_t weights, uintptr_t student, const RelationSizes& sizes, uintptr_t gradient, int threads,
         uintptr_t scratch) {
        FASTNST_CHOOSE(relation).backward(relation_sets(student, 0, sizes, threads, scratch), memory<const float>(grad),
                                          memory<const float>(weights), memory<float>(gradient));
      },
      kReleased);
}

// function(i) for every i below count, each on a thread of its own as far as there are any, and the interpreter's lock allows.
// What the function itself would divide among threads, it does alone. The first exception is thrown when all are done.
void call_each(int64_t count, const py::function& function, int threads) {
  std::exception_ptr failure;
  {
    const Unlocked release;
    const OpenMpTeam team;
    parallel_for(count, 1, threads, [&](int, int64_t begin, int64_t end) {
      const Locked lock;
      for (int64_t i = begin; i < end; i++) try {
          function(i);
        } catch (...) {
          if (!failure) failure = std::current_exception();
        }
    });
  }
  if (failure) std::rethrow_exception(failure);
}

struct Free {
  void operator()(void* data) const { std::free(data); }
};

// Memory for the time of one call, as it comes.
std::unique_ptr<void, Free> scratch(int64_t bytes) {
  constexpr int64_t kLine = 64;
  void* data = std::aligned_alloc(kLine, size_t((bytes + kLine) / kLine * kLine));
  if (data == nullptr) throw std::bad_alloc();
  prefer_large_pages(data, size_t(bytes));
  return std::unique_ptr<void, Free>(data);
}

void bind_feature_map(py::module_& module) {
  py::class_<FeatureMap>(module, "FeatureMap")
      .def(py::init([](uintptr_t data, int element, bool channels_last, int64_t batch, int64_t channels, int64_t positions) {
             return FeatureMap{memory<void>(data), element, channels_last, batch, channels, positions};
           }),
           py::arg("data"), py::arg("element"), py::arg("channels_last"), py::arg("batch"), py::arg("channels"),
           py::arg("positions"));
}

void bind_wct(py::module_& module) {
  module.def(
      "wct_means",
      [](const FeatureMap& x, uintptr_t mean, int threads) { FASTNST_CHOOSE(wct).means(x, memory<double>(mean), threads); },
      kReleased);
  module.def(
      "wct_products",
      [](const FeatureMap& x, uintptr_t x_mean, const FeatureMap* y, uintptr_t y_mean, double scale, uintptr_t product,
         int threads) {
        const WctOps& ops = FASTNST_CHOOSE(wct);
        const auto work = scratch(ops.products_bytes(x.batch, x.channels, x.positions, y == nullptr, threads));
        ops.products(x, memory<const double>(x_mean), y, memory<const double>(y_mean), scale, memory<double>(product),
                     work.get(), threads);
      },
      kReleased);
  module.def(
      "wct_outer",
      [](uintptr_t factor, int64_t batch, int64_t channels, int64_t rank, uintptr_t product, int threads) {
        const WctOps& ops = FASTNST_CHOOSE(wct);
        const auto work = scratch(ops.products_bytes(batch, channels, rank, true, threads));
        ops.outer(memory<const double>(factor), batch, channels, rank, memory<double>(product), work.get(), threads);
      },
      kReleased);
  module.def(
      "wct_transform",
      [](uintptr_t matrix, int64_t pitch, bool wide, const FeatureMap& x, uintptr_t shift, uintptr_t offset, uintptr_t out,
         int threads) {
        const WctOps& ops = FASTNST_CHOOSE(wct);
        const auto work = scratch(ops.transform_bytes(x, wide, threads));
        if (wide)
          ops.transform_wide(memory<const double>(matrix), pitch, x, memory<const double>(shift), memory<const double>(offset),
                             memory<void>(out), work.get(), threads);
        else
          ops.transform(memory<const float>(matrix), pitch, x, memory<const float>(shift), memory<const float>(offset),
                        memory<void>(out), work.get(), threads);
      },
      kReleased);
}

void bind_embedding(py::module_& module) {
  module.def(
      "embedding_loss",
      [](const FeatureMap& student, const FeatureMap& teacher, uintptr_t negative_weight, int64_t pitch, uintptr_t bias,
         uintptr_t student_gradient, uintptr_t weight_gradient, uintptr_t bias_gradient, int threads) {
        const EmbeddingOps& ops = FASTNST_CHOOSE(embedding);
        const Projection projection{memory<const float>(negative_weight), pitch, memory<const float>(bias)};
        const EmbeddingGradients gradients{memory<void>(student_gradient), memory<float>(weight_gradient),
                                           memory<float>(bias_gradient)};
        const bool wanted = student_gradient != 0;
        const auto work = scratch(ops.loss_bytes(student, teacher, wanted, threads));
        return ops.loss(student, teacher, projection, wanted ? &gradients : nullptr, work.get(), threads);
      },
      kReleased);
  module.def(
      "embedding_teacher",
      [](const FeatureMap& student, const FeatureMap& teacher, uintptr_t negative_weight, int64_t pitch, uintptr_t bias,
         float scale, uintptr_t gradient, int threads) {
        const EmbeddingOps& ops = FASTNST_CHOOSE(embedding);
        const Projection projection{memory<const float>(negative_weight), pitch, memory<const float>(bias)};
        const auto work = scratch(ops.loss_bytes(student, teacher, false, threads));
        ops.teacher(student, teacher, projection, scale, memory<void>(gradient), work.get(), threads);
      },
      kReleased);
}

void bind_perceptual(py::module_& module) {
  module.def(
      "perceptual_error",
      [](uintptr_t x, uintptr_t y, int element, int64_t count, bool squared, int threads) {
        const PerceptualOps& ops = FASTNST_CHOOSE(perceptual);
        const auto work = scratch(ops.error_bytes(count));
        return ops.mean_error(memory<const void>(x), memory<const void>(y), element, count, squared, work.get(), threads);
      },
      kReleased);
  module.def(
      "perceptual_error_backward",
      [](uintptr_t x, uintptr_t y, int element, int64_t count, bool squared, float scale, uintptr_t out, int threads) {
        const PerceptualOps& ops = FASTNST_CHOOSE(perceptual);
        ops.error_backward(memory<const void>(x), memory<const void>(y), element, count, squared, scale, memory<void>(out),
                           threads);
      },
      kReleased);
  module.def(
      "perceptual_gram",
      [](const FeatureMap& x, uintptr_t gram, int threads) {
        const PerceptualOps& ops = FASTNST_CHOOSE(perceptual);
        const auto work = scratch(ops.gram_bytes(x, threads));
        ops.gram(x, memory<float>(gram), work.get(), threads);
      },
      kReleased);
  module.def(
      "perceptual_mix",
      [](uintptr_t matrix, int64_t pitch, const FeatureMap& x, uintptr_t out, int threads) {
        const PerceptualOps& ops = FASTNST_CHOOSE(perceptual);
        const auto work = scratch(ops.mix_bytes(x, threads));
        ops.mix(memory<const float>(matrix), pitch, x, memory<void>(out), work.get(), threads);
      },
      kReleased);
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
  bind_adain_engine(module);
  bind_wct_engine(module);
  bind_yuv(module);
  bind_generator_engine(module);

  module.def("instruction_sets", [] {
    std::vector<std::pair<std::string, bool>> paths;
    const KernelTable table = kernel_table();
    for (int i = 0; i < table.count; i++) paths.emplace_back(table.paths[i]->name, table.paths[i]->supported());
    return paths;
  });
  module.def("instruction_set", [] { return std::string(kernels().name); });
  module.def("kernel_calls", [] {
    py::dict calls;
    const KernelTable table = kernel_table();
    for (int i = 0; i < table.count; i++) calls[table.paths[i]->name] = kernel_calls(*table.paths[i]);
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

  module.def("operations_variant", [] { return std::string(path_name()); });
  module.def("prefer_large_pages", [](uintptr_t address, size_t size) { prefer_large_pages(memory<void>(address), size); });
  py::class_<KeptBlock>(module, "KeptBlock", py::buffer_protocol())
      .def(py::init<size_t>(), py::arg("size"))
      .def_buffer([](const KeptBlock& block) {
        return py::buffer_info(block.data(), 1, py::format_descriptor<uint8_t>::format(), py::ssize_t(block.size()));
      });
  module.def("release_kept", &release_kept);
  module.def("call_each", &call_each, py::arg("count"), py::arg("function"), py::arg("threads"));
  bind_adain(module);
  bind_relation(module);
  bind_feature_map(module);
  bind_wct(module);
  bind_embedding(module);
  bind_perceptual(module);
}
