// The variants of the training operations (csrc/ops): code for older and for newer instruction sets.
//
// Every file of csrc/ops is compiled once per variant, with FASTNST_VARIANT naming the namespace that its code lives in, so
// that one source serves all instruction sets. Nothing that a linker may merge between variants (inline functions, templates
// over shared types, standard containers) may be emitted there: it could carry instructions that an older processor lacks.
// Which variant an instruction set uses, engine/kernels/table.cpp says.
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
