// Of the Python module: training operations that multiply matrices with maps, and relations between images.
#include <array>
#include <optional>

#include "bind/bind.h"
#include "bind/operations.h"
#include "ops/embedding.h"
#include "ops/relation.h"
#include "ops/wct.h"

namespace py = pybind11;

namespace fastnst {
namespace {

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
      : sets(relation_sets(nullptr, nullptr, sizes, threads)), ops(FASTNST_CHOOSE(operations_variant(), relation)) {
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
    const RelationMemory floats = FASTNST_CHOOSE(operations_variant(), relation).memory(sets);
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

// --- whitening and colouring ---

void bind_wct(py::module_& module) {
  module.def(
      "wct_means",
      [](const Tensor& x, const Tensor& mean, int threads) {
        const FeatureMap map = feature_map("x", x);
        check_axes("x", !map.channels_last, "contiguous features");
        FASTNST_CHOOSE(operations_variant(), wct).means(map, mean.doubles("mean", map.batch * map.channels), threads);
      },
      kReleased);
  module.def(
      "wct_products",
      [](const Tensor& x, const std::optional<Tensor>& x_mean, const std::optional<Tensor>& y,
         const std::optional<Tensor>& y_mean, double scale, const Tensor& product, int threads) {
        const WctOps& ops = FASTNST_CHOOSE(operations_variant(), wct);
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
        const WctOps& ops = FASTNST_CHOOSE(operations_variant(), wct);
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
        const WctOps& ops = FASTNST_CHOOSE(operations_variant(), wct);
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

// --- embedding ---

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
        const EmbeddingOps& ops = FASTNST_CHOOSE(operations_variant(), embedding);
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
        const EmbeddingOps& ops = FASTNST_CHOOSE(operations_variant(), embedding);
        const Embedding all(student, teacher, negative_weight, bias);
        void* out = gradient.map_like("gradient", teacher);
        const auto work = scratch(ops.loss_bytes(all.student, all.teacher, false, threads));
        ops.teacher(all.student, all.teacher, all.projection, scale, out, work.get(), threads);
      },
      kReleased);
}

}  // namespace

void bind_products(py::module_& module) {
  bind_embedding(module);
  bind_relation(module);
  bind_wct(module);
}

}  // namespace fastnst
