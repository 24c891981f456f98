// The parts of the Python module, each a file of this folder.
#pragma once

#include <pybind11/pybind11.h>

namespace fastnst {

void bind_engine(pybind11::module_& module);
void bind_color_modes(pybind11::module_& module);
void bind_pictures(pybind11::module_& module);
void bind_hidden(pybind11::module_& module);
void bind_system(pybind11::module_& module);
void bind_maps(pybind11::module_& module);
void bind_products(pybind11::module_& module);

}  // namespace fastnst
