// A PyTorch tensor as it comes from Python, checked before its memory is touched. For this folder alone.
//
// Nothing of PyTorch is linked: what there is to know is asked of the Python object.
#pragma once

#include <pybind11/pybind11.h>

#include <array>
#include <cstdint>
#include <stdexcept>
#include <string>

namespace fastnst {

class Tensor {
 public:
  static constexpr int kMostAxes = 8;
  // The first three have the numbers of Element in ops/vector.h.
  enum Type { kFloat32, kBfloat16, kFloat16, kFloat64, kOther };

  Tensor() = default;
  explicit Tensor(pybind11::handle tensor) {
    const pybind11::tuple sizes = tensor.attr("shape"), strides = tensor.attr("stride")();
    axes_ = int(sizes.size());
    if (axes_ > kMostAxes) throw std::invalid_argument("a tensor of more than 8 axes");
    for (int i = 0; i < axes_; i++) size_[i] = sizes[i].cast<int64_t>(), stride_[i] = strides[i].cast<int64_t>();
    for (int i = 0; i < axes_; i++) elements_ *= size_[i];
    type_ = type_of(tensor.attr("dtype"));
    on_cpu_ = tensor.attr("is_cpu").cast<bool>();
    if (on_cpu_) data_ = reinterpret_cast<void*>(tensor.attr("data_ptr")().cast<uintptr_t>());
    if (!on_cpu_) device_ = pybind11::str(tensor.attr("device"));
  }

  int64_t elements() const { return elements_; }
  int64_t size(int axis) const { return size_[axis]; }
  int axes() const { return axes_; }
  Type type() const { return type_; }
  int64_t bytes() const {
    static constexpr int kBytes[] = {4, 2, 2, 8, 0};
    return elements_ * kBytes[type_];
  }

  // [N, C, H, W] that lies in memory as [N, H, W, C] and not as [N, C, H, W] too.
  bool channels_last() const {
    static constexpr int kOrder[] = {0, 2, 3, 1};
    return axes_ == 4 && !contiguous() && in_order(kOrder);
  }

  // The address of `count` values, or more, side by side.
  float* floats(const char* name, int64_t count) const { return static_cast<float*>(checked(name, kFloat32, count)); }
  double* doubles(const char* name, int64_t count) const { return static_cast<double*>(checked(name, kFloat64, count)); }

  // The address of a dense map in any of the kernels' types.
  void* map(const char* name) const {
    check_type(name, type_ < kFloat64, "float32, bfloat16 or float16");
    if (!on_cpu_ || !(contiguous() || channels_last())) refuse(name, "a dense map on the CPU");
    return data_;
  }

  // The address of a map of the type, the size and the layout of another one.
  void* map_like(const char* name, const Tensor& other) const {
    check_type(name, type_ == other.type_, kNames[other.type_]);
    if (!on_cpu_ || !same_sizes(other) || !(other.channels_last() ? channels_last() : contiguous()))
      refuse(name, "a map on the CPU that lies as " + other.described() + " does");
    return data_;
  }

 private:
  static constexpr const char* kNames[] = {"float32", "bfloat16", "float16", "float64", "another type"};

  static Type type_of(pybind11::handle dtype) {
    static std::array<PyObject*, kOther> types{};  // they live as long as PyTorch; the interpreter's lock guards them
    if (types[0] == nullptr) {
      const auto torch = pybind11::module_::import("torch");
      for (int i = kOther - 1; i >= 0; i--) types[i] = pybind11::object(torch.attr(kNames[i])).release().ptr();
    }
    int type = 0;
    while (type < kOther && types[type] != dtype.ptr()) type++;
    return Type(type);
  }

  // Whether the elements are side by side, with the axes in this order, the last one fastest.
  bool in_order(const int* order) const {
    int64_t step = 1;
    for (int i = axes_ - 1; i >= 0; i--) {
      const int axis = order[i];
      if (size_[axis] != 1 && stride_[axis] != step) return elements_ == 0;
      step *= size_[axis];
    }
    return true;
  }
  bool contiguous() const {
    static constexpr int kOrder[] = {0, 1, 2, 3, 4, 5, 6, 7};
    return in_order(kOrder);
  }
  bool same_sizes(const Tensor& other) const {
    bool same = axes_ == other.axes_;
    for (int i = 0; same && i < axes_; i++) same = size_[i] == other.size_[i];
    return same;
  }

  void* checked(const char* name, Type type, int64_t count) const {
    check_type(name, type_ == type, kNames[type]);
    if (!on_cpu_ || !contiguous() || elements_ < count)
      refuse(name, "at least " + std::to_string(count) + " values side by side on the CPU");
    return data_;
  }

  void check_type(const char* name, bool right, const std::string& wanted) const {
    if (!right) throw pybind11::type_error(std::string(name) + ": expected " + wanted + ", got " + described());
  }
  [[noreturn]] void refuse(const char* name, const std::string& wanted) const {
    throw std::invalid_argument(std::string(name) + ": expected " + wanted + ", got " + described());
  }

  std::string described() const {
    const auto list = [this](const std::array<int64_t, kMostAxes>& numbers) {
      std::string text = "[";
      for (int i = 0; i < axes_; i++) text += (i == 0 ? "" : ", ") + std::to_string(numbers[i]);
      return text + "]";
    };
    const std::string layout = contiguous() ? "" : channels_last() ? " in channels_last" : " of strides " + list(stride_);
    return std::string(kNames[type_]) + " " + list(size_) + layout + " on " + (on_cpu_ ? "the CPU" : device_);
  }

  void* data_ = nullptr;
  int axes_ = 0;
  std::array<int64_t, kMostAxes> size_{}, stride_{};
  int64_t elements_ = 1;
  Type type_ = kOther;
  bool on_cpu_ = false;
  std::string device_;
};

}  // namespace fastnst

namespace pybind11::detail {

template <>
struct type_caster<fastnst::Tensor> {
  PYBIND11_TYPE_CASTER(fastnst::Tensor, const_name("torch.Tensor"));
  bool load(handle source, bool) {
    if (!hasattr(source, "data_ptr")) return false;
    value = fastnst::Tensor(source);
    return true;
  }
};

}  // namespace pybind11::detail
