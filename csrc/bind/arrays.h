// NumPy arrays as the engine takes and gives them.
#pragma once

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <algorithm>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <vector>

#include "bind/lock.h"

namespace fastnst {

using Pixels = pybind11::array_t<uint8_t, pybind11::array::c_style>;
using Doubles = pybind11::array_t<double, pybind11::array::c_style | pybind11::array::forcecast>;

inline void check_threads(int threads) {
  if (threads < 1 || threads > 1024) throw std::invalid_argument("threads must be 1 to 1024, not " + std::to_string(threads));
}

inline Pixels as_picture(const pybind11::array& array) {
  if (!pybind11::isinstance<pybind11::array_t<uint8_t>>(array) || array.ndim() != 3 || array.shape(2) != 3)
    throw std::invalid_argument("a picture must be uint8 of shape H x W x 3");
  return array;  // a copy only where rows or pixels are not side by side
}

inline std::vector<double> as_vector(const Doubles& array) { return {array.data(), array.data() + array.size()}; }

inline pybind11::array_t<double> as_array(const std::vector<double>& values) {
  return pybind11::array_t<double>(pybind11::ssize_t(values.size()), values.data());
}

// [n][n].
inline pybind11::array_t<double> as_matrix(const std::vector<double>& values, size_t n) {
  return pybind11::array_t<double>({pybind11::ssize_t(n), pybind11::ssize_t(n)}, values.data());
}

// Calls run() without the interpreter's lock.
template <typename Run>
auto without_lock(Run&& run) {
  const Unlocked release;
  return run();
}

}  // namespace fastnst
