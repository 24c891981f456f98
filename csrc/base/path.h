// Which compiled variant of the training operations (csrc/ops) this processor runs.
//
// Every file of csrc/ops is compiled once per variant, with FASTNST_PATH naming the namespace that its code lives in, so that
// one source serves all instruction sets. Nothing that a linker may merge between variants (inline functions, templates over
// shared types, standard containers) may be emitted there: it could carry instructions that an older processor lacks.
#pragma once

namespace fastnst {

enum class Path { kBaseline, kAvx2, kAvx512 };

// The best one that this processor runs. Which one is used, `operations_path` of engine/kernels.h says.
Path best_path();
const char* path_name(Path path);

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
#define FASTNST_CHOOSE(path, stem)                          \
  ((path) == fastnst::Path::kAvx512 ? fastnst::avx512::stem \
   : (path) == fastnst::Path::kAvx2 ? fastnst::avx2::stem   \
                                    : fastnst::baseline::stem)
#else
#define FASTNST_DECLARE(Type, stem) \
  namespace baseline {              \
  extern const Type stem;           \
  }
#define FASTNST_CHOOSE(path, stem) ((void)(path), fastnst::baseline::stem)
#endif

}  // namespace fastnst
