// Of the Python module: the palette step.
#include "bind_palette.h"

#include <algorithm>
#include <stdexcept>

#include "lock.h"

namespace py = pybind11;

namespace fastnst {
namespace {

using Pixels = py::array_t<uint8_t, py::array::c_style>;

Colors as_colors(const ColorStatistics& statistics) {
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

}  // namespace

void run_with_palette(const Passage& content, const std::optional<Palette>& palette, const std::string& folder,
                      const std::function<void(const Passage&)>& run) {
  if (!palette) {
    const Unlocked release;
    return run(content);
  }
  const Colors style = as_colors(std::get<0>(*palette));
  const double strength = std::get<1>(*palette);
  const Unlocked release;
  Recoloring recoloring(content, style, strength, folder);
  run(recoloring.before());
  recoloring.finish();
}

void bind_palette(py::module_& module) {
  py::class_<ColorSums>(module, "ColorSums")
      .def(py::init())
      .def(
          "add",
          [](ColorSums& sums, const Pixels& rows, int threads) {
            check_rows(rows);
            const uint8_t* pixels = rows.data();
            const int64_t count = rows.shape(0) * rows.shape(1);
            const Unlocked release;
            sums.add(pixels, count, threads);
          },
          py::arg("rows").noconvert(), py::arg("threads"))
      .def("colors", [](const ColorSums& sums) {
        const Colors colors = sums.colors();
        return py::make_tuple(py::array_t<double>(3, colors.mean.data()),
                              py::array_t<double>({3, 3}, colors.covariance.data()));
      });
  module.def(
      "map_colors",
      [](Pixels& picture, const ColorStatistics& from, const ColorStatistics& to, double strength, int threads) {
        check_rows(picture);
        const ColorMap map = color_map(as_colors(from), as_colors(to), strength);
        uint8_t* pixels = picture.mutable_data();
        const int64_t count = picture.shape(0) * picture.shape(1);
        const Unlocked release;
        map_colors(map, pixels, count, threads);
      },
      py::arg("picture").noconvert(), py::arg("source"), py::arg("target"), py::arg("strength"), py::arg("threads"));
}

}  // namespace fastnst
