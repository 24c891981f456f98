// What the bindings of all training operations do with tensors, memory and threads.
#pragma once

#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <cstdlib>
#include <memory>
#include <new>

#include "base/pages.h"
#include "base/parallel.h"
#include "bind/lock.h"
#include "bind/tensor.h"
#include "engine/kernels/table.h"
#include "ops/feature_map.h"

namespace fastnst {

// Training operations run without the interpreter's lock, between PyTorch's own.
inline const auto kReleased = pybind11::call_guard<Unlocked, OpenMpTeam>();

struct Free {
  void operator()(void* data) const { std::free(data); }
};

// Memory for the time of one call, as it comes.
inline std::unique_ptr<void, Free> scratch(int64_t bytes) {
  constexpr int64_t kLine = 64;
  void* data = std::aligned_alloc(kLine, size_t((bytes + kLine) / kLine * kLine));
  if (data == nullptr) throw std::bad_alloc();
  prefer_large_pages(data, size_t(bytes));
  return std::unique_ptr<void, Free>(data);
}

inline Variant operations_variant() { return instruction_set().operations; }

inline void check_axes(const char* name, bool right, const char* wanted) {
  if (!right) throw std::invalid_argument(std::string(name) + ": expected " + wanted);
}

// [N, C, H, W] or [N, C, n].
inline FeatureMap feature_map(const char* name, const Tensor& x) {
  const void* data = x.map(name);
  check_axes(name, x.axes() == 4 || x.axes() == 3, "[N, C, H, W] or [N, C, n]");
  return {data, x.type(), x.channels_last(), x.size(0), x.size(1), x.size(2) * (x.axes() == 4 ? x.size(3) : 1)};
}

// [batch, rows, columns] by rows that are as far apart as the last axis is long.
struct Rows {
  const Tensor& tensor;
  int64_t batch, rows, pitch;

  Rows(const Tensor& tensor, int64_t batch, int64_t rows, int64_t columns)
      : tensor(tensor), batch(batch), rows(rows), pitch(tensor.axes() == 0 ? 0 : tensor.size(tensor.axes() - 1)) {
    check_axes("matrix", pitch >= columns, "rows that are long enough");
  }
  const float* floats() const { return tensor.floats("matrix", batch * rows * pitch); }
  const double* doubles() const { return tensor.doubles("matrix", batch * rows * pitch); }
};

}  // namespace fastnst
