// Of the Python module: what lies below fully transparent pixels.
#pragma once

#include <pybind11/pybind11.h>

namespace fastnst {

void bind_hidden(pybind11::module_& module);

}  // namespace fastnst
