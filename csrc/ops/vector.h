// Vectors as wide as the variant's registers, and numbers of 16 bits. Everything is in the variant's own namespace.
#pragma once

#include <cstdint>
#include <cstring>

#if defined(__SSE2__)
#include <immintrin.h>
#endif

namespace fastnst::FASTNST_VARIANT {

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

struct Bfloat16 {
  uint16_t bits;
};
struct Float16 {
  uint16_t bits;
};

// Calls `body` with a value of the C++ type of `element`; only its type matters.
template <typename Body>
static inline void with_element(int element, Body&& body) {
  switch (Element(element)) {
    case Element::kFloat32:
      return body(float());
    case Element::kBfloat16:
      return body(Bfloat16());
    case Element::kFloat16:
      return body(Float16());
  }
}

typedef float Floats __attribute__((vector_size(kBytes)));
typedef double Doubles __attribute__((vector_size(kBytes)));
typedef uint32_t Words __attribute__((vector_size(kBytes)));
typedef uint16_t Halves __attribute__((vector_size(kBytes / 2)));

// By copying bits: reading and writing through a pointer of another type is undefined.
template <typename Vector>
static inline Vector load_bits(const void* p) {
  Vector v;
  std::memcpy(&v, p, sizeof v);
  return v;
}

static inline Floats all(float value) { return Floats{} + value; }

// The same numbers in lanes of another width. GCC needs three instructions where processors have one.
static inline Words words(Halves v) {
#if defined(__AVX512F__)
  return (Words)_mm512_maskz_cvtepu16_epi32(0xffff, (__m256i)v);  // plain forms of AVX-512 make GCC warn of itself
#elif defined(__AVX2__)
  return (Words)_mm256_cvtepu16_epi32((__m128i)v);
#else
  return __builtin_convertvector(v, Words);
#endif
}

static inline Halves halves(Words v) {
#if defined(__AVX512F__)
  return (Halves)_mm512_maskz_cvtepi32_epi16(0xffff, (__m512i)v);
#else
  return __builtin_convertvector(v, Halves);
#endif
}

// 16-bit numbers as float32, and float32 rounded to nearest even; subnormal numbers, infinities and NaN as they should be.
static inline Floats widen(Bfloat16, Halves bits) { return (Floats)(words(bits) << 16); }

static inline Halves narrow(Bfloat16, Floats v) {
  const Words bits = (Words)v, high = bits >> 16;
  const Words rounded = (bits + 0x7fff + (high & 1)) >> 16;
  return halves(v != v ? high | 0x40 : rounded);  // rounding could carry a NaN's bits into its sign
}

static inline Floats widen(Float16, Halves bits) {
#if defined(__AVX512F__)
  return (Floats)_mm512_maskz_cvtph_ps(0xffff, (__m256i)bits);
#elif defined(__F16C__)
  return (Floats)_mm256_cvtph_ps((__m128i)bits);
#else
  const Words wide = words(bits);
  // The exponents differ by 112, for subnormal numbers too; the product leaves infinities and NaN with a finite exponent.
  const Words magnitude = (Words)((Floats)((wide & 0x7fff) << 13) * all(0x1p112f));
  const Words special = (wide & 0x7c00) == 0x7c00 ? Words{} + 0x7f800000u : Words{};
  return (Floats)(magnitude | special | ((wide & 0x8000) << 16));
#endif
}

static inline Halves narrow(Float16, Floats v) {
#if defined(__AVX512F__)
  return (Halves)_mm512_maskz_cvtps_ph(0xffff, (__m512)v, _MM_FROUND_TO_NEAREST_INT);
#elif defined(__F16C__)
  return (Halves)_mm256_cvtps_ph((__m256)v, _MM_FROUND_TO_NEAREST_INT);
#else
  const Words sign = (Words)v & 0x80000000u, bits = (Words)v ^ sign;
  const Words normal = (bits - (112u << 23) + 0xfff + ((bits >> 13) & 1)) >> 13;
  // Adding 1/2 leaves a subnormal result's digits, rounded, in the lowest bits of the sum.
  const Words subnormal = (Words)((Floats)bits + 0.5f) - (126u << 23);
  const Words finite = bits < Words{} + (113u << 23) ? subnormal : normal;
  const Words special = bits > Words{} + 0x7f800000u ? Words{} + 0x7e00u : Words{} + 0x7c00u;
  return halves((bits >= Words{} + (143u << 23) ? special : finite) | (sign >> 16));
#endif
}

// At any alignment that the element type allows.
static inline Floats load(const float* p) { return load_bits<Floats>(p); }

template <typename T>
static inline Floats load(const T* p) {
  return widen(T(), load_bits<Halves>(p));
}

static inline void store(float* p, Floats v) { std::memcpy(p, &v, sizeof v); }

template <typename T>
static inline void store(T* p, Floats v) {
  const Halves bits = narrow(T(), v);
  std::memcpy(p, &bits, sizeof bits);
}

// The first `count` elements, and no byte beyond them: the other lanes are 0. Any `count` from kFloats on is a whole vector.
template <typename T>
static inline Floats load(const T* p, int64_t count) {
  if (count >= kFloats) return load(p);
#if defined(__AVX512F__)
  const __mmask16 lanes = __mmask16((1u << count) - 1);
  if constexpr (sizeof(T) == 4)
    return (Floats)_mm512_maskz_loadu_ps(lanes, p);
  else
    return widen(T(), (Halves)_mm256_maskz_loadu_epi16(lanes, p));
#else
  T lanes[kFloats] = {};
  for (int64_t i = 0; i < count; i++) lanes[i] = p[i];
  return load(lanes);
#endif
}

template <typename T>
static inline void store(T* p, Floats v, int64_t count) {
  if (count >= kFloats) return store(p, v);
#if defined(__AVX512F__)
  const __mmask16 lanes = __mmask16((1u << count) - 1);
  if constexpr (sizeof(T) == 4)
    _mm512_mask_storeu_ps(p, lanes, (__m512)v);
  else
    _mm256_mask_storeu_epi16(p, lanes, (__m256i)narrow(T(), v));
#else
  T lanes[kFloats];
  store(lanes, v);
  for (int64_t i = 0; i < count; i++) p[i] = lanes[i];
#endif
}

// `v` with 0 in all lanes from `count` on.
static inline Floats first(Floats v, int64_t count) {
  if (count >= kFloats) return v;
  Words lane;
  for (int i = 0; i < kFloats; i++) lane[i] = uint32_t(i);
  return lane < Words{} + uint32_t(count) ? v : Floats{};
}

// As a tree, which has the smallest rounding error.
static inline float sum(Floats v) {
  typedef float Quad __attribute__((vector_size(16)));
  Quad quads[kBytes / 16];
  std::memcpy(quads, &v, sizeof v);
  for (int half = kBytes / 32; half > 0; half /= 2)
    for (int i = 0; i < half; i++) quads[i] += quads[i + half];
  return (quads[0][0] + quads[0][2]) + (quads[0][1] + quads[0][3]);
}

}  // namespace fastnst::FASTNST_VARIANT
