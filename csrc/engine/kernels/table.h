// The instruction sets: what each is called, what it takes, and what the engine and the training operations run on it.
#pragma once

#include <cstdint>
#include <span>

#include "base/variant.h"
#include "engine/kernels/kernels.h"

namespace fastnst {

struct InstructionSet {
  const char* name;     // what FASTNST_ISA and users call it
  bool (*supported)();  // whether this processor has all that its code is compiled for: SETS in csrc/build.py
  const ProductKernels* products;
  const LoopKernels* loops;
  Variant operations;
};

// All that are compiled for this processor family, the best first. The last one runs everywhere.
std::span<const InstructionSet> instruction_sets();

// The one in use, by the engine and by the training operations: the first that is supported, or the one that the environment
// variable FASTNST_ISA names. Chosen once. Throws std::runtime_error if that one is unknown or cannot run here.
const InstructionSet& instruction_set();

// How many rows of convolutions the kernels of a set have computed; proves in tests which one ran.
uint64_t kernel_calls(const InstructionSet& set);
void count_calls(uint64_t rows);  // of the set in use

}  // namespace fastnst
