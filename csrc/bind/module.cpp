// The Python module fastnst._engine: the engine and the training operations, and what both ask of the machine.
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <exception>
#include <system_error>

#include "base/block_cache.h"
#include "base/memory.h"
#include "base/parallel.h"
#include "base/sha256.h"
#include "bind/bind.h"
#include "bind/lock.h"
#include "engine/kernels/table.h"

namespace py = pybind11;

namespace fastnst {
namespace {

// function(i) for every i below count, each on a thread of its own as far as there are any, and the interpreter's lock allows.
// What the function itself would divide among threads, it does alone. The first exception is thrown when all are done.
void call_each(int64_t count, const py::function& function, int threads) {
  std::exception_ptr failure;
  {
    const Unlocked release;
    const OpenMpTeam team;
    parallel_for(count, 1, threads, [&](int, int64_t begin, int64_t end) {
      const Locked lock;
      for (int64_t i = begin; i < end; i++) try {
          function(i);
        } catch (...) {
          if (!failure) failure = std::current_exception();
        }
    });
  }
  if (failure) std::rethrow_exception(failure);
}

void bind_instruction_sets(py::module_& module) {
  module.def("instruction_sets", [] {
    std::vector<std::pair<std::string, bool>> sets;
    for (const InstructionSet& set : instruction_sets()) sets.emplace_back(set.name, set.supported());
    return sets;
  });
  module.def("instruction_set", [] { return std::string(instruction_set().name); });
  module.def("operations_variant", [] {
    constexpr const char* kNames[] = {"baseline", "avx2", "avx512"};  // of the variants
    return std::string(kNames[int(instruction_set().operations)]);
  });
  module.def("kernel_calls", [] {
    py::dict calls;
    for (const InstructionSet& set : instruction_sets()) calls[set.name] = kernel_calls(set);
    return calls;
  });
}

}  // namespace

void bind_system(py::module_& module) {
  bind_instruction_sets(module);
  module.def("parse_bytes", &parse_bytes, py::arg("text"));
  module.def("machine_memory", &machine_memory, py::arg("root") = "");
  module.def("default_budget", &default_budget, py::arg("pixels"), py::arg("machine"), py::arg("each") = kUsualBytes);
  module.def("call_each", &call_each, py::arg("count"), py::arg("function"), py::arg("threads"));
  py::class_<CachedBlock>(module, "CachedBlock", py::buffer_protocol())
      .def(py::init<size_t>(), py::arg("size"))
      .def_buffer([](const CachedBlock& block) {
        return py::buffer_info(block.data(), 1, py::format_descriptor<uint8_t>::format(), py::ssize_t(block.size()));
      });
  module.def("release_cache", &release_cache);
  module.def(
      "sha256",
      [](const py::bytes& data, bool portable) {
        const std::string_view view = data;
        const auto digest = sha256(reinterpret_cast<const uint8_t*>(view.data()), view.size(), portable);
        return py::bytes(reinterpret_cast<const char*>(digest.data()), digest.size());
      },
      py::arg("data"), py::arg("portable"));
}

}  // namespace fastnst

PYBIND11_MODULE(_engine, module) {
  using namespace fastnst;
  Gate::close_at_exit();
  py::register_local_exception_translator([](std::exception_ptr thrown) {
    try {
      std::rethrow_exception(thrown);
    } catch (const std::system_error& error) {  // names a folder, whose bytes need not be UTF-8
      PyErr_SetObject(PyExc_RuntimeError, py::reinterpret_steal<py::object>(PyUnicode_DecodeFSDefault(error.what())).ptr());
    }
  });

  module.doc() = "The compiled engine. Use fastnst.engine.";

  bind_system(module);
  bind_engine(module);
  bind_color_modes(module);
  bind_pictures(module);
  bind_hidden(module);
  bind_maps(module);
  bind_products(module);
}
