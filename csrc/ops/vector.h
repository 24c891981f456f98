// Vectors as wide as the variant's registers, and numbers of 16 bits. Everything is in the variant's own namespace.
#pragma once

#include <cstdint>
#include <cstring>

namespace fastnst::FASTNST_PATH {

#if defined(__AVX512F__)
constexpr int kBytes = 64;
#elif defined(__AVX2__)
constexpr int kBytes = 32;
#else
constexpr int kBytes = 16;
#endif

constexpr int kFloats = kBytes / 4;
constexpr int kDoubles = kBytes / 8;

// Element types of tensors, as kernels/cpu/arguments.py numbers them.
enum class Element { kFloat32 = 0, kBfloat16 = 1, kFloat16 = 2 };

typedef float Floats __attribute__((vector_size(kBytes)));
typedef double Doubles __attribute__((vector_size(kBytes)));
typedef uint32_t Words __attribute__((vector_size(kBytes)));
typedef uint16_t Halves __attribute__((vector_size(kBytes / 2)));

static inline Floats load(const float* p) {
  Floats v;
  std::memcpy(&v, p, sizeof v);
  return v;
}

static inline void store(float* p, Floats v) { std::memcpy(p, &v, sizeof v); }

static inline Floats all(float value) { return Floats{} + value; }

// In a tree, for the fewest roundings in a row.
static inline float sum(Floats v) {
  typedef float Quad __attribute__((vector_size(16)));
  Quad quads[kBytes / 16];
  std::memcpy(quads, &v, sizeof v);
  for (int half = kBytes / 32; half > 0; half /= 2)
    for (int i = 0; i < half; i++) quads[i] += quads[i + half];
  return (quads[0][0] + quads[0][2]) + (quads[0][1] + quads[0][3]);
}

}  // namespace fastnst::FASTNST_PATH
