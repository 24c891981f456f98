// Of the Python module: training operations on maps and their channels.
#include <array>
#include <optional>

#include "bind/bind.h"
#include "bind/operations.h"
#include "ops/adain.h"
#include "ops/color.h"
#include "ops/perceptual.h"

namespace py = pybind11;

namespace fastnst {
namespace {

// --- AdaIN ---

// Calls run(operations, shape, statistics, scratch) for maps like x, of so many statistics.
template <typename Run>
void run_adain(const char* name, const Tensor& x, int threads, Run&& run) {
  x.map(name);
  check_axes(name, x.axes() == 4, "[N, C, H, W]");
  const int64_t batch = x.size(0), channels = x.size(1), positions = x.size(2) * x.size(3);
  const MapShape shape =
      x.channels_last() ? MapShape{x.type(), batch, positions, channels} : MapShape{x.type(), batch * channels, positions, 1};
  const AdainOps& ops = FASTNST_CHOOSE(operations_variant(), adain);
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

// --- perceptual losses ---

void bind_perceptual(py::module_& module) {
  module.def(
      "perceptual_error",
      [](const Tensor& x, const Tensor& y, bool squared, int threads) {
        const PerceptualOps& ops = FASTNST_CHOOSE(operations_variant(), perceptual);
        const void *left = x.map("x"), *right = y.map_like("y", x);
        const auto work = scratch(ops.error_bytes(x.elements()));
        return ops.mean_error(left, right, x.type(), x.elements(), squared, work.get(), threads);
      },
      kReleased);
  module.def(
      "perceptual_error_backward",
      [](const Tensor& x, const Tensor& y, bool squared, float scale, const Tensor& out, int threads) {
        const PerceptualOps& ops = FASTNST_CHOOSE(operations_variant(), perceptual);
        ops.error_backward(x.map("x"), y.map_like("y", x), x.type(), x.elements(), squared, scale, out.map_like("out", x),
                           threads);
      },
      kReleased);
  module.def(
      "perceptual_gram",
      [](const Tensor& x, const Tensor& gram, int threads) {
        const PerceptualOps& ops = FASTNST_CHOOSE(operations_variant(), perceptual);
        const FeatureMap map = feature_map("x", x);
        float* products = gram.floats("gram", map.batch * map.channels * map.channels);
        const auto work = scratch(ops.gram_bytes(map, threads));
        ops.gram(map, products, work.get(), threads);
      },
      kReleased);
  module.def(
      "perceptual_mix",
      [](const Tensor& matrix, const Tensor& x, const Tensor& out, int threads) {
        const PerceptualOps& ops = FASTNST_CHOOSE(operations_variant(), perceptual);
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
        const ColorOps& ops = FASTNST_CHOOSE(operations_variant(), color);
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
        const ColorOps& ops = FASTNST_CHOOSE(operations_variant(), color);
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
        FASTNST_CHOOSE(operations_variant(), color)
            .sweep(terms.data(), other ? 2 : 1, offset.floats("offset", 3 * terms[0].x.batch), out.map_like("out", term[0]),
                   threads);
      },
      kReleased);
}

}  // namespace

void bind_maps(py::module_& module) {
  module.def("prefer_large_pages", [](const Tensor& x) { prefer_large_pages(x.map("x"), size_t(x.bytes())); });
  bind_adain(module);
  bind_color(module);
  bind_perceptual(module);
}

}  // namespace fastnst
