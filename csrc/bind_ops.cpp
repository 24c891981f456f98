// The training operations in the Python module fastnst._engine. What they are handed is checked here, by tensor.h.
#include "bind_ops.h"

#include <pybind11/stl.h>

#include <array>
#include <cstdlib>
#include <exception>
#include <memory>
#include <new>
#include <optional>

#include "base/kept.h"
#include "base/pages.h"
#include "base/parallel.h"
#include "engine/kernels.h"
#include "lock.h"
#include "ops/adain.h"
#include "ops/color.h"
#include "ops/embedding.h"
#include "ops/perceptual.h"
#include "ops/relation.h"
#include "ops/wct.h"
#include "tensor.h"

namespace py = pybind11;

namespace fastnst {
namespace {

// Training operations run without the interpreter's lock, between PyTorch's own.
const auto kReleased = py::call_guard<Unlocked, OpenMpTeam>();

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

void bind_memory(py::module_& module) {
  module.def("prefer_large_pages", [](const Tensor& x) { prefer_large_pages(x.map("x"), size_t(x.bytes())); });
  py::class_<KeptBlock>(module, "KeptBlock", py::buffer_protocol())
      .def(py::init<size_t>(), py::arg("size"))
      .def_buffer([](const KeptBlock& block) {
        return py::buffer_info(block.data(), 1, py::format_descriptor<uint8_t>::format(), py::ssize_t(block.size()));
      });
  module.def("release_kept", &release_kept);
  module.def("call_each", &call_each, py::arg("count"), py::arg("function"), py::arg("threads"));
}

void check_axes(const char* name, bool right, const char* wanted) {
  if (!right) throw std::invalid_argument(std::string(name) + ": expected " + wanted);
}

// --- AdaIN ---

// Calls run(operations, shape, statistics, scratch) for maps like x, of so many statistics.
template <typename Run>
void run_adain(const char* name, const Tensor& x, int threads, Run&& run) {
  x.map(name);
  check_axes(name, x.axes() == 4, "[N, C, H, W]");
  const int64_t batch = x.size(0), channels = x.size(1), positions = x.size(2) * x.size(3);
  const MapShape shape =
      x.channels_last() ? MapShape{x.type(), batch, positions, channels} : MapShape{x.type(), batch * channels, positions, 1};
  const AdainOps& ops = FASTNST_CHOOSE(operations_path(), adain);
  const auto work = scratch(ops.scratch_size(shape, threads) * int64_t(sizeof(double)));
  run(ops, shape, batch * channels, static_cast<double*>(work.get()));
}

void bind_adain(py::module_& module) {
  module.def(
      "adain_channel_stats",
      [](const Tensor& x, double eps, const Tensor& mean, const Tensor& std, int threads) {
        run_adain("x", x, threads, [&](const AdainOps& ops, const MapShape& shape, int64_t n, double* work) {
          ops.channel_stats(shape, x.map("x"), eps, mean.floats("mean", n), std.floats("std", n), work, threads);
        });
      },
      kReleased);
  module.def(
      "adain_channel_stats_backward",
      [](const Tensor& grad_mean, const Tensor& grad_std, const Tensor& x, const Tensor& mean, const Tensor& std,
         const Tensor& dx, int threads) {
        run_adain("x", x, threads, [&](const AdainOps& ops, const MapShape& shape, int64_t n, double* work) {
          ops.channel_stats_backward(shape, grad_mean.floats("grad_mean", n), grad_std.floats("grad_std", n), x.map("x"),
                                     mean.floats("mean", n), std.floats("std", n), dx.map_like("dx", x), work, threads);
        });
      },
      kReleased);
  module.def(
      "adain_apply",
      [](const Tensor& content, const Tensor& style_mean, const Tensor& style_std, double eps, const Tensor& out,
         const Tensor& mean, const Tensor& std, int threads) {
        run_adain("content", content, threads, [&](const AdainOps& ops, const MapShape& shape, int64_t n, double* work) {
          ops.apply(shape, content.map("content"), style_mean.floats("style_mean", n), style_std.floats("style_std", n), eps,
                    out.map_like("out", content), mean.floats("mean", n), std.floats("std", n), work, threads);
        });
      },
      kReleased);
  module.def(
      "adain_apply_backward",
      [](const Tensor& grad, const Tensor& content, const Tensor& mean, const Tensor& std, const Tensor& style_std,
         const Tensor& dcontent, const Tensor& dstyle_mean, const Tensor& dstyle_std, int threads) {
        run_adain("content", content, threads, [&](const AdainOps& ops, const MapShape& shape, int64_t n, double* work) {
          ops.apply_backward(shape, grad.map_like("grad", content), content.map("content"), mean.floats("mean", n),
                             std.floats("std", n), style_std.floats("style_std", n), dcontent.map_like("dcontent", content),
                             dstyle_mean.floats("dstyle_mean", n), dstyle_std.floats("dstyle_std", n), work, threads);
        });
      },
      kReleased);
}

// --- relations ---

// images, height, channels and width of the student, the same of the teacher, patch size, cuts
using RelationSizes = std::array<int64_t, 8>;

RelationSets relation_sets(const float* student, const float* teacher, const RelationSizes& sizes, int threads) {
  const auto [images, height, channels, width, teacher_channels, teacher_width, patch, cuts] = sizes;
  for (int i = 0; i < 6; i++)
    if (sizes[size_t(i)] < 1) throw std::invalid_argument("sizes: expected positive numbers");
  return {student, teacher,   images,  height, {channels, teacher_channels}, {width, teacher_width},
          patch,   int(cuts), threads, nullptr};
}

// What one call works on: sets with addresses that were checked, and what the library says it needs.
struct Relations {
  RelationSets sets;
  RelationMemory memory;
  const RelationOps& ops;

  // `pairs` tells whether there must be scratch memory for the pairs of items.
  Relations(const Tensor& student, const Tensor* teacher, const RelationSizes& sizes, int threads, const Tensor& work,
            bool pairs = true)
      : sets(relation_sets(nullptr, nullptr, sizes, threads)), ops(FASTNST_CHOOSE(operations_path(), relation)) {
    const int64_t positions = sets.images * sets.height;
    sets.student = student.floats("student", positions * sets.channels[0] * sets.width[0]);
    if (teacher != nullptr) sets.teacher = teacher->floats("teacher", positions * sets.channels[1] * sets.width[1]);
    memory = ops.memory(sets);
    sets.scratch = work.floats("scratch", threads * memory.each_thread + (pairs ? sets.images * memory.each_image : 0));
  }
  float* weights(const char* name, const Tensor& x) const { return x.floats(name, sets.images * memory.weights); }
  float* each(const char* name, const Tensor& x) const { return x.floats(name, sets.images); }
};

void bind_relation(py::module_& module) {
  module.def("relation_memory", [](bool teacher, const RelationSizes& sizes) {
    constexpr float kSomewhere = 0;  // only whether there is a teacher counts
    const RelationSets sets = relation_sets(nullptr, teacher ? &kSomewhere : nullptr, sizes, 1);
    const RelationMemory floats = FASTNST_CHOOSE(operations_path(), relation).memory(sets);
    return py::make_tuple(floats.each_thread, floats.each_image, floats.weights);
  });
  module.def(
      "relation_pairwise",
      [](const Tensor& items, const RelationSizes& sizes, bool squared, float eps, const Tensor& out, int threads,
         const Tensor& work) {
        const Relations all(items, nullptr, sizes, threads, work);
        all.ops.pairwise(all.sets, squared, eps, all.weights("out", out));
      },
      kReleased);
  module.def(
      "relation_pairwise_weights",
      [](const Tensor& grad, const Tensor& items, const RelationSizes& sizes, bool squared, float eps, const Tensor& weights,
         int threads, const Tensor& work) {
        const Relations all(items, nullptr, sizes, threads, work);
        all.ops.pairwise_weights(all.sets, all.weights("grad", grad), squared, eps, all.weights("weights", weights));
      },
      kReleased);
  module.def(
      "relation_losses",
      [](const Tensor& student, const Tensor& teacher, const RelationSizes& sizes, double distance_weight, double angle_weight,
         const Tensor& losses, const Tensor& weights, int threads, const Tensor& work) {
        const Relations all(student, &teacher, sizes, threads, work);
        all.ops.losses(all.sets, distance_weight, angle_weight, all.each("losses", losses), all.weights("weights", weights));
      },
      kReleased);
  module.def(
      "relation_backward",
      [](const Tensor& grad, const Tensor& weights, const Tensor& student, const RelationSizes& sizes, const Tensor& gradient,
         int threads, const Tensor& work) {
        const Relations all(student, nullptr, sizes, threads, work, false);
        all.ops.backward(all.sets, all.each("grad", grad), all.weights("weights", weights),
                         gradient.floats("gradient", student.elements()));
      },
      kReleased);
}

// --- products with feature maps ---

// [N, C, H, W] or [N, C, n].
FeatureMap feature_map(const char* name, const Tensor& x) {
  const void* data = x.map(name);
  check_axes(name, x.axes() == 4 || x.axes() == 3, "[N, C, H, W] or [N, C, n]");
  return {data, x.type(), x.channels_last(), x.size(0), x.size(1), x.size(2) * (x.axes() == 4 ? x.size(3) : 1)};
}

// [batch, rows, columns] by rows that are as far apart as the last axis is long.
struct Rows {
  const Tensor& tensor;
  int64_t batch, rows, pitch;

  Rows(const Tensor& tensor, int64_t batch, int64_t rows, int64_t columns)
      : tensor(tensor), batch(batch), rows(rows), pitch(tensor.axes() == 0 ? 0 : tensor.size(tensor.axes() - 1)) {
    check_axes("matrix", pitch >= columns, "rows that are long enough");
  }
  const float* floats() const { return tensor.floats("matrix", batch * rows * pitch); }
  const double* doubles() const { return tensor.doubles("matrix", batch * rows * pitch); }
};

void bind_wct(py::module_& module) {
  module.def(
      "wct_means",
      [](const Tensor& x, const Tensor& mean, int threads) {
        const FeatureMap map = feature_map("x", x);
        check_axes("x", !map.channels_last, "contiguous features");
        FASTNST_CHOOSE(operations_path(), wct).means(map, mean.doubles("mean", map.batch * map.channels), threads);
      },
      kReleased);
  module.def(
      "wct_products",
      [](const Tensor& x, const std::optional<Tensor>& x_mean, const std::optional<Tensor>& y,
         const std::optional<Tensor>& y_mean, double scale, const Tensor& product, int threads) {
        const WctOps& ops = FASTNST_CHOOSE(operations_path(), wct);
        const FeatureMap left = feature_map("x", x);
        FeatureMap right{};
        if (y) y->map_like("y", x), right = feature_map("y", *y);
        const int64_t means = left.batch * left.channels;
        const double* left_mean = x_mean ? x_mean->doubles("x_mean", means) : nullptr;
        const double* right_mean = y_mean ? y_mean->doubles("y_mean", means) : nullptr;
        double* out = product.doubles("product", means * left.channels);
        const auto work = scratch(ops.products_bytes(left.batch, left.channels, left.positions, !y, threads));
        ops.products(left, left_mean, y ? &right : nullptr, right_mean, scale, out, work.get(), threads);
      },
      kReleased);
  module.def(
      "wct_outer",
      [](const Tensor& factor, const Tensor& product, int threads) {
        const WctOps& ops = FASTNST_CHOOSE(operations_path(), wct);
        check_axes("factor", factor.axes() == 3, "[B, k, C]");
        const int64_t batch = factor.size(0), rank = factor.size(1), channels = factor.size(2);
        const double* rows = factor.doubles("factor", batch * rank * channels);
        double* out = product.doubles("product", batch * channels * channels);
        const auto work = scratch(ops.products_bytes(batch, channels, rank, true, threads));
        ops.outer(rows, batch, channels, rank, out, work.get(), threads);
      },
      kReleased);
  module.def(
      "wct_transform",
      [](const Tensor& matrix, const Tensor& x, const Tensor& shift, const Tensor& offset, const Tensor& out, int threads) {
        const WctOps& ops = FASTNST_CHOOSE(operations_path(), wct);
        const FeatureMap map = feature_map("x", x);
        const Rows rows(matrix, map.batch, map.channels, map.channels);
        const int64_t means = map.batch * map.channels;
        void* to = out.map_like("out", x);
        const bool wide = matrix.type() == Tensor::kFloat64;
        const auto work = scratch(ops.transform_bytes(map, wide, threads));
        if (wide)
          ops.transform_wide(rows.doubles(), rows.pitch, map, shift.doubles("shift", means), offset.doubles("offset", means),
                             to, work.get(), threads);
        else
          ops.transform(rows.floats(), rows.pitch, map, shift.floats("shift", means), offset.floats("offset", means), to,
                        work.get(), threads);
      },
      kReleased);
}

// The two maps of the embedding loss, and the convolution between them.
struct Embedding {
  FeatureMap student, teacher;
  Projection projection;

  Embedding(const Tensor& student, const Tensor& teacher, const Tensor& negative_weight, const Tensor& bias)
      : student(feature_map("student", student)), teacher(feature_map("teacher", teacher)) {
    check_axes("teacher",
               this->student.batch == this->teacher.batch && this->student.positions == this->teacher.positions &&
                   this->student.element == this->teacher.element,
               "the student's type, batch and positions");
    const Rows weight(negative_weight, 1, this->teacher.channels, this->student.channels);
    projection = {weight.floats(), weight.pitch, bias.floats("bias", this->teacher.channels)};
  }
};

void bind_embedding(py::module_& module) {
  module.def(
      "embedding_loss",
      [](const Tensor& student, const Tensor& teacher, const Tensor& negative_weight, const Tensor& bias,
         const std::optional<std::array<Tensor, 3>>& gradients, int threads) {
        const EmbeddingOps& ops = FASTNST_CHOOSE(operations_path(), embedding);
        const Embedding all(student, teacher, negative_weight, bias);
        EmbeddingGradients wanted{};
        if (gradients) {
          const auto& [of_student, of_weight, of_bias] = *gradients;
          const int64_t channels = all.teacher.channels;
          wanted = {of_student.map_like("student_gradient", student),
                    of_weight.floats("weight_gradient", channels * all.student.channels),
                    of_bias.floats("bias_gradient", channels)};
        }
        const auto work = scratch(ops.loss_bytes(all.student, all.teacher, bool(gradients), threads));
        return ops.loss(all.student, all.teacher, all.projection, gradients ? &wanted : nullptr, work.get(), threads);
      },
      kReleased);
  module.def(
      "embedding_teacher",
      [](const Tensor& student, const Tensor& teacher, const Tensor& negative_weight, const Tensor& bias, float scale,
         const Tensor& gradient, int threads) {
        const EmbeddingOps& ops = FASTNST_CHOOSE(operations_path(), embedding);
        const Embedding all(student, teacher, negative_weight, bias);
        void* out = gradient.map_like("gradient", teacher);
        const auto work = scratch(ops.loss_bytes(all.student, all.teacher, false, threads));
        ops.teacher(all.student, all.teacher, all.projection, scale, out, work.get(), threads);
      },
      kReleased);
}

void bind_perceptual(py::module_& module) {
  module.def(
      "perceptual_error",
      [](const Tensor& x, const Tensor& y, bool squared, int threads) {
        const PerceptualOps& ops = FASTNST_CHOOSE(operations_path(), perceptual);
        const void *left = x.map("x"), *right = y.map_like("y", x);
        const auto work = scratch(ops.error_bytes(x.elements()));
        return ops.mean_error(left, right, x.type(), x.elements(), squared, work.get(), threads);
      },
      kReleased);
  module.def(
      "perceptual_error_backward",
      [](const Tensor& x, const Tensor& y, bool squared, float scale, const Tensor& out, int threads) {
        const PerceptualOps& ops = FASTNST_CHOOSE(operations_path(), perceptual);
        ops.error_backward(x.map("x"), y.map_like("y", x), x.type(), x.elements(), squared, scale, out.map_like("out", x),
                           threads);
      },
      kReleased);
  module.def(
      "perceptual_gram",
      [](const Tensor& x, const Tensor& gram, int threads) {
        const PerceptualOps& ops = FASTNST_CHOOSE(operations_path(), perceptual);
        const FeatureMap map = feature_map("x", x);
        float* products = gram.floats("gram", map.batch * map.channels * map.channels);
        const auto work = scratch(ops.gram_bytes(map, threads));
        ops.gram(map, products, work.get(), threads);
      },
      kReleased);
  module.def(
      "perceptual_mix",
      [](const Tensor& matrix, const Tensor& x, const Tensor& out, int threads) {
        const PerceptualOps& ops = FASTNST_CHOOSE(operations_path(), perceptual);
        const FeatureMap map = feature_map("x", x);
        const Rows rows(matrix, map.batch, map.channels, map.channels);
        void* to = out.map_like("out", x);
        const auto work = scratch(ops.mix_bytes(map, threads));
        ops.mix(rows.floats(), rows.pitch, map, to, work.get(), threads);
      },
      kReleased);
}

// --- colours ---

FeatureMap picture(const char* name, const Tensor& x) {
  x.map(name);
  check_axes(name, x.axes() == 4 && x.size(1) == 3, "[N, 3, H, W]");
  return feature_map(name, x);
}

// A map, matrix [N, 3, 3] and shift [N, 3].
using Term = std::array<Tensor, 3>;

void bind_color(py::module_& module) {
  module.def(
      "color_moments",
      [](const Tensor& x, const Tensor& mean, const Tensor& covariance, int threads) {
        const ColorOps& ops = FASTNST_CHOOSE(operations_path(), color);
        const FeatureMap map = picture("x", x);
        double* means = mean.doubles("mean", 3 * map.batch);
        double* covariances = covariance.doubles("covariance", 9 * map.batch);
        const auto work = scratch(ops.scratch_size(map) * int64_t(sizeof(double)));
        ops.moments(map, means, covariances, static_cast<double*>(work.get()), threads);
      },
      kReleased);
  module.def(
      "color_products",
      [](const Tensor& grad, const Tensor& x, const Tensor& mean, const Tensor& total, const Tensor& products, int threads) {
        const ColorOps& ops = FASTNST_CHOOSE(operations_path(), color);
        const FeatureMap map = picture("x", x);
        grad.map_like("grad", x);
        const double* means = mean.doubles("mean", 3 * map.batch);
        double* totals = total.doubles("total", 3 * map.batch);
        double* sums = products.doubles("products", 9 * map.batch);
        const auto work = scratch(ops.scratch_size(map) * int64_t(sizeof(double)));
        ops.products(picture("grad", grad), map, means, totals, sums, static_cast<double*>(work.get()), threads);
      },
      kReleased);
  module.def(
      "color_sweep",
      [](const Term& term, const std::optional<Term>& other, const Tensor& offset, const Tensor& out, int threads) {
        const auto checked = [](const Term& given) {
          const auto& [x, matrix, shift] = given;
          const FeatureMap map = picture("x", x);
          return ColorTerm{map, matrix.floats("matrix", 9 * map.batch), shift.floats("shift", 3 * map.batch)};
        };
        std::array<ColorTerm, 2> terms{checked(term)};
        if (other) (*other)[0].map_like("x", term[0]), terms[1] = checked(*other);
        FASTNST_CHOOSE(operations_path(), color)
            .sweep(terms.data(), other ? 2 : 1, offset.floats("offset", 3 * terms[0].x.batch), out.map_like("out", term[0]),
                   threads);
      },
      kReleased);
}

}  // namespace

void bind_operations(py::module_& module) {
  module.def("operations_variant", [] { return std::string(path_name(operations_path())); });
  bind_memory(module);
  bind_adain(module);
  bind_relation(module);
  bind_wct(module);
  bind_embedding(module);
  bind_perceptual(module);
  bind_color(module);
}

}  // namespace fastnst
