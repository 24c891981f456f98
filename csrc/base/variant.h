// The variants of the training operations (csrc/ops): code for older and for newer instruction sets.
//
// Every file of csrc/ops is compiled once per variant, in the namespace that FASTNST_VARIANT names, so that one source serves
// all instruction sets. These files may not emit anything that a linker could merge between variants (inline functions,
// templates over shared types, standard containers): it could contain instructions that an older processor lacks.
// engine/kernels/table.cpp says which variant an instruction set uses.
#pragma once

namespace fastnst {

enum class Variant { baseline, avx2, avx512 };

// Declares a table of functions, `Type stem`, in the namespace of every variant that is compiled for this processor family.
#if defined(__x86_64__)
#define FASTNST_DECLARE(Type, stem) \
  namespace baseline {              \
  extern const Type stem;           \
  }                                 \
  namespace avx2 {                  \
  extern const Type stem;           \
  }                                 \
  namespace avx512 {                \
  extern const Type stem;           \
  }
#define FASTNST_CHOOSE(variant, stem)                            \
  ((variant) == fastnst::Variant::avx512 ? fastnst::avx512::stem \
   : (variant) == fastnst::Variant::avx2 ? fastnst::avx2::stem   \
                                         : fastnst::baseline::stem)
#else
#define FASTNST_DECLARE(Type, stem) \
  namespace baseline {              \
  extern const Type stem;           \
  }
#define FASTNST_CHOOSE(variant, stem) ((void)(variant), fastnst::baseline::stem)
#endif

}  // namespace fastnst
