// Of the Python module: rows of PNG files, and frames of videos.
#include <pybind11/stl.h>

#include <array>

#include "base/png.h"
#include "base/yuv.h"
#include "bind/arrays.h"
#include "bind/bind.h"

namespace py = pybind11;

namespace fastnst {
namespace {

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

void bind_pictures(py::module_& module) {
  bind_png(module);
  bind_yuv(module);
}

}  // namespace fastnst
