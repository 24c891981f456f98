// Of the Python module: colours of one picture for another.
#include "base/histogram.h"
#include "base/lab.h"
#include "base/luma.h"
#include "bind/arrays.h"
#include "bind/bind.h"

namespace py = pybind11;

namespace fastnst {
namespace {

using Counts = py::array_t<uint64_t, py::array::c_style>;

// Of 3 channels and 256 levels.
template <typename Tables, typename Array>
Tables tables_of(const Array& array) {
  if (array.ndim() != 2 || array.shape(0) != 3 || array.shape(1) != 256) throw std::invalid_argument("tables are [3, 256]");
  Tables tables;
  std::copy_n(array.data(), array.size(), tables.data()->data());
  return tables;
}

template <typename Array, typename Tables>
Array array_of(const Tables& tables) {
  return Array({3, 256}, tables.data()->data());
}

// One of the functions that give `styled` what they keep of `content`, of a copy.
template <void (*keep)(const uint8_t*, uint8_t*, int64_t, int)>
Pixels kept(const py::array& content, const py::array& styled, int threads) {
  check_threads(threads);
  const Pixels from = as_picture(content), with = as_picture(styled);
  if (from.shape(0) != with.shape(0) || from.shape(1) != with.shape(1))
    throw std::invalid_argument("two pictures of different sizes");
  Pixels result({from.shape(0), from.shape(1), py::ssize_t(3)}, with.data());
  const uint8_t* own = from.data();
  uint8_t* to = result.mutable_data();
  without_lock([&, pixels = int64_t(from.size() / 3)] { keep(own, to, pixels, threads); });
  return result;
}

}  // namespace

void bind_color_modes(py::module_& module) {
  module.def("keep_color", &kept<keep_color>);
  module.def("keep_lab", &kept<keep_lab>);
  module.def("count_levels", [](const py::array& picture) {
    const Pixels pixels = as_picture(picture);
    Histogram histogram{};
    without_lock([&, data = pixels.data(), count = int64_t(pixels.size() / 3)] { count_levels(data, count, histogram); });
    return array_of<Counts>(histogram);
  });
  module.def("level_tables", [](const Counts& own, const Counts& wanted) {
    return array_of<Pixels>(level_tables(tables_of<Histogram>(own), tables_of<Histogram>(wanted)));
  });
  const auto map = [](const Pixels& tables, Pixels& picture, int threads) {
    check_threads(threads);
    if (picture.ndim() != 3 || picture.shape(2) != 3) throw std::invalid_argument("a picture must be uint8 of shape H x W x 3");
    const LevelTables levels = tables_of<LevelTables>(tables);
    uint8_t* data = picture.mutable_data();
    without_lock([&, pixels = int64_t(picture.size() / 3)] { map_levels(levels, data, pixels, threads); });
  };
  module.def("map_levels", map, py::arg(), py::arg().noconvert(), py::arg());
}

}  // namespace fastnst
