// Of the Python module: what lies below fully transparent pixels.
#include "base/hidden.h"

#include <utility>

#include "bind/arrays.h"
#include "bind/bind.h"

namespace py = pybind11;

namespace fastnst {
namespace {

using Numbers = py::array_t<uint64_t, py::array::c_style>;

void check_rows(const Pixels& rgb, const Pixels& alpha) {
  if (rgb.ndim() != 3 || rgb.shape(2) != 3 || alpha.ndim() != 2 || rgb.shape(0) != alpha.shape(0) ||
      rgb.shape(1) != alpha.shape(1) || alpha.size() == 0)
    throw std::invalid_argument("rows of pixels must be uint8 [n, W, 3] and their transparency uint8 [n, W]");
}

Numbers sums_of_cells(const Pixels& rgb, const Pixels& alpha) {
  check_rows(rgb, alpha);
  const int64_t rows = rgb.shape(0), width = rgb.shape(1);
  if (rows > kCell) throw std::invalid_argument("a band has " + std::to_string(kCell) + " rows or fewer");
  std::vector<CellSums> cells(size_t(cells_along(width)));
  const uint8_t *colors = rgb.data(), *opacity = alpha.data();
  {
    const Unlocked release;
    add_to_cells(colors, opacity, rows, width, cells.data());
  }
  return Numbers({int64_t(cells.size()), int64_t(4)}, cells.data()->data());
}

Filling filling(int64_t height, int64_t width, const Numbers& cells) {
  constexpr int64_t kMaxSide = int64_t(1) << 24;  // as the engine's
  if (height < 1 || width < 1 || height > kMaxSide || width > kMaxSide || cells.ndim() != 3 ||
      cells.shape(0) != cells_along(height) || cells.shape(1) != cells_along(width) || cells.shape(2) != 4)
    throw std::invalid_argument("sums of other cells than the picture's");
  std::vector<CellSums> sums(size_t(cells.size()) / 4);
  std::copy_n(cells.data(), cells.size(), sums.data()->data());
  const Unlocked release;
  return Filling(height, width, std::move(sums));
}

Pixels filled_band(const Filling& filling, int64_t index, const Pixels& rgb, const Pixels& alpha) {
  check_rows(rgb, alpha);
  if (index < 0 || index >= filling.bands()) throw std::invalid_argument("no such band");
  const auto [first, last] = filling.around(index);
  const auto [top, bottom] = filling.band(index);
  if (rgb.shape(0) != last - first || rgb.shape(1) != filling.width())
    throw std::invalid_argument("other rows than those around the band");
  Pixels band({bottom - top, filling.width(), int64_t(3)});
  const uint8_t *colors = rgb.data(), *opacity = alpha.data();
  uint8_t* to = band.mutable_data();
  {
    const Unlocked release;
    filling.fill(index, colors, opacity, to);
  }
  return band;
}

}  // namespace

void bind_hidden(py::module_& module) {
  module.attr("HIDDEN_CELL") = kCell;
  module.def("cell_sums", &sums_of_cells, py::arg("rgb"), py::arg("alpha"));
  const auto pair = [](const Filling::Rows& rows) { return py::make_tuple(rows.first, rows.last); };
  py::class_<Filling>(module, "Filling")
      .def(py::init(&filling), py::arg("height"), py::arg("width"), py::arg("cells"))
      .def_property_readonly("memory", &Filling::memory)
      .def(
          "rows", [pair](const Filling& self, int64_t index) { return pair(self.band(index)); }, py::arg("index"))
      .def(
          "rows_around", [pair](const Filling& self, int64_t index) { return pair(self.around(index)); }, py::arg("index"))
      .def("band", &filled_band, py::arg("index"), py::arg("rgb"), py::arg("alpha"));
  module.def(
      "fill_hidden",
      [](Pixels& rgb, const Pixels& alpha) {
        check_rows(rgb, alpha);
        uint8_t* colors = rgb.mutable_data();
        const uint8_t* opacity = alpha.data();
        const int64_t height = rgb.shape(0), width = rgb.shape(1);
        const Unlocked release;
        fill_hidden(colors, opacity, height, width);
      },
      py::arg("rgb").noconvert(), py::arg("alpha"));
}

}  // namespace fastnst
