// Of the Python module: the palette step, alone and behind a picture in tiles.
#pragma once

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <functional>
#include <optional>
#include <string>
#include <tuple>

#include "engine/palette.h"

namespace fastnst {

using ColorStatistics = std::tuple<pybind11::array_t<double, pybind11::array::c_style | pybind11::array::forcecast>,
                                   pybind11::array_t<double, pybind11::array::c_style | pybind11::array::forcecast>>;
using Palette = std::tuple<ColorStatistics, double>;  // the style's colours, and the strength

// Calls run(passage) without the interpreter's lock, for the content with the palette step behind it where there is one.
void run_with_palette(const Passage& content, const std::optional<Palette>& palette, const std::string& folder,
                      const std::function<void(const Passage&)>& run);

void bind_palette(pybind11::module_& module);

}  // namespace fastnst
