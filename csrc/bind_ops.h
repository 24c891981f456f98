// The training operations in the Python module. bind.cpp calls it.
#pragma once

#include <pybind11/pybind11.h>

namespace fastnst {

void bind_operations(pybind11::module_& module);

}  // namespace fastnst
