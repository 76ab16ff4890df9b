// What the matrix products share: vectors of the unit's instruction set with masked loads and stores, the GELU of
// their epilogue, and transposition in registers.
//
// Only for `*.simd.cpp` files; everything has internal linkage (see simd.h).
#pragma once
#include <stdint.h>

#if defined(USER_LLM_ISA_AVX512) || defined(USER_LLM_ISA_AVX2)
// The headers of GCC 12 make "undefined" registers from themselves and then warn about it (GCC bug 105593).
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#include <immintrin.h>
#pragma GCC diagnostic pop
#endif

namespace userllm {
namespace {

#if defined(USER_LLM_ISA_AVX512)
constexpr int kVectorBytes = 64;
#elif defined(USER_LLM_ISA_AVX2)
constexpr int kVectorBytes = 32;
#else
constexpr int kVectorBytes = 16;
#endif

template <class T> struct VectorOf { typedef T type __attribute__((vector_size(kVectorBytes))); };
template <class T> using Vec = typename VectorOf<T>::type;
template <class T> constexpr int kLanes = kVectorBytes / sizeof(T);

inline int64_t min(int64_t a, int64_t b) { return a < b ? a : b; }
inline int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

template <class T> inline Vec<T> load(const T* from) {
  Vec<T> v;
  __builtin_memcpy(&v, from, sizeof v);
  return v;
}

template <class T> inline void store(T* to, Vec<T> v) { __builtin_memcpy(to, &v, sizeof v); }

// The first `count` lanes; the others load as zero and are not touched in memory.
#if defined(USER_LLM_ISA_AVX512)
inline Vec<float> load(const float* from, int count) {
  return (Vec<float>)_mm512_maskz_loadu_ps((__mmask16)((1u << count) - 1), from);
}
inline Vec<double> load(const double* from, int count) {
  return (Vec<double>)_mm512_maskz_loadu_pd((__mmask8)((1u << count) - 1), from);
}
inline void store(float* to, Vec<float> v, int count) {
  _mm512_mask_storeu_ps(to, (__mmask16)((1u << count) - 1), (__m512)v);
}
inline void store(double* to, Vec<double> v, int count) {
  _mm512_mask_storeu_pd(to, (__mmask8)((1u << count) - 1), (__m512d)v);
}
#elif defined(USER_LLM_ISA_AVX2)
alignas(32) constexpr int kMasks[16] = {-1, -1, -1, -1, -1, -1, -1, -1};
inline __m256i mask32(int count) { return _mm256_loadu_si256((const __m256i*)(kMasks + 8 - count)); }
inline __m256i mask64(int count) { return _mm256_loadu_si256((const __m256i*)(kMasks + 8 - 2 * count)); }
inline Vec<float> load(const float* from, int count) { return (Vec<float>)_mm256_maskload_ps(from, mask32(count)); }
inline Vec<double> load(const double* from, int count) { return (Vec<double>)_mm256_maskload_pd(from, mask64(count)); }
inline void store(float* to, Vec<float> v, int count) { _mm256_maskstore_ps(to, mask32(count), (__m256)v); }
inline void store(double* to, Vec<double> v, int count) { _mm256_maskstore_pd(to, mask64(count), (__m256d)v); }
#else
template <class T> inline Vec<T> load(const T* from, int count) {
  Vec<T> v{};
  for (int i = 0; i < count; ++i) v[i] = from[i];
  return v;
}
template <class T> inline void store(T* to, Vec<T> v, int count) {
  for (int i = 0; i < count; ++i) to[i] = v[i];
}
#endif

// ---- GELU

// exp(-2u) with u = sqrt(2/pi) (x + 0.044715 x^3). The exponent is made in double, or its rounding would be the largest
// error where the GELU is small.
inline float exp_of_gelu(float x) {
  constexpr double kLinear = -2.3022081985119395, kCubic = -0.10294323959646136;  // -2 sqrt(2/pi) / ln 2, * 0.044715
  constexpr double kRound = 6755399441055744.;  // 1.5 * 2^52: adding it rounds to an integer
  const double xd = x, y = xd * (kLinear + kCubic * (xd * xd));
  const double whole = (y + kRound) - kRound;
  const float f = static_cast<float>(y - whole);
  float p = 1.5252733804e-5f;  // Taylor coefficients of 2^f, |f| <= 1/2
  p = p * f + 1.5403530394e-4f;
  p = p * f + 1.3333558146e-3f;
  p = p * f + 9.6181291076e-3f;
  p = p * f + 5.5504108664e-2f;
  p = p * f + 2.4022650696e-1f;
  p = p * f + 6.9314718056e-1f;
  p = p * f + 1.f;
  const int power = (static_cast<int>(whole) + 127) << 23;
  float scale;
  __builtin_memcpy(&scale, &power, sizeof scale);
  return scale * p;
}

inline double exp_of_gelu(double x) { return __builtin_exp(-1.5957691216057308 * (x + 0.044715 * (x * x * x))); }

#if defined(USER_LLM_ISA_AVX512)
// Division takes 16 cycles here. One Newton step makes the reciprocal of 14 bits good to about 27.
inline Vec<float> divide(Vec<float> x, Vec<float> by) {
  const Vec<float> r = (Vec<float>)_mm512_rcp14_ps((__m512)by);
  return x * (r + r * (1.f - by * r));
}
inline Vec<double> divide(Vec<double> x, Vec<double> by) { return x / by; }
#else
template <class V> inline V divide(V x, V by) { return x / by; }
#endif

// x / (1 + exp(-2u)), which equals x/2 (1 + tanh u) without its cancellation.
template <class T> inline Vec<T> gelu_tanh(Vec<T> x) {
  // The float exponential is bounded: from here on the result is x, or zero to 1e-27. NaN goes on by x.
  constexpr T kBound = sizeof(T) == 4 ? 9 : 20;
  const Vec<T> low = Vec<T>{} - kBound, high = Vec<T>{} + kBound;
  Vec<T> e = x > low ? (x < high ? x : high) : low;
  T lanes[kLanes<T>];
  store(lanes, e);
#pragma GCC unroll 1  // so that the compiler makes vectors of it, and not first scalars
  for (int i = 0; i < kLanes<T>; ++i) lanes[i] = exp_of_gelu(lanes[i]);
  e = load(lanes);
  return divide(x, 1 + e);
}

// ---- Transposition

// to[column * to_stride + row] = from[row * from_stride + column] for kLanes rows, of which those from `rows` on are
// zero, and `columns` <= kLanes columns.
template <class T>
void transpose(const T* from, int64_t from_stride, int64_t rows, int64_t columns, T* to, int64_t to_stride) {
  for (int64_t c = 0; c < columns; ++c)
    for (int64_t r = 0; r < kLanes<T>; ++r) to[c * to_stride + r] = r < rows ? from[r * from_stride + c] : T(0);
}

#if defined(USER_LLM_ISA_AVX512)
template <>
inline void transpose(const float* from, int64_t from_stride, int64_t rows, int64_t columns, float* to,
                      int64_t to_stride) {
  const __mmask16 mask = (__mmask16)((1u << columns) - 1);
  __m512 r[16], t[16];
#pragma GCC unroll 16
  for (int i = 0; i < 16; ++i)
    r[i] = i < rows ? _mm512_maskz_loadu_ps(mask, from + i * from_stride) : _mm512_setzero_ps();
#pragma GCC unroll 16
  for (int i = 0; i < 16; i += 2) {
    t[i] = _mm512_unpacklo_ps(r[i], r[i + 1]);
    t[i + 1] = _mm512_unpackhi_ps(r[i], r[i + 1]);
  }
#pragma GCC unroll 16
  for (int i = 0; i < 16; i += 4)
#pragma GCC unroll 2
    for (int j = 0; j < 2; ++j) {
      const __m512d low = _mm512_castps_pd(t[i + j]), high = _mm512_castps_pd(t[i + j + 2]);
      r[i + 2 * j] = _mm512_castpd_ps(_mm512_unpacklo_pd(low, high));
      r[i + 2 * j + 1] = _mm512_castpd_ps(_mm512_unpackhi_pd(low, high));
    }
    // r[4 q + j] holds column j of each 4 x 4 block of rows 4 q ..; what is left is to transpose the blocks.
#pragma GCC unroll 4
  for (int j = 0; j < 4; ++j) {
    const __m512 a = _mm512_shuffle_f32x4(r[j], r[j + 4], 0x88), b = _mm512_shuffle_f32x4(r[j], r[j + 4], 0xdd);
    const __m512 c = _mm512_shuffle_f32x4(r[j + 8], r[j + 12], 0x88);
    const __m512 d = _mm512_shuffle_f32x4(r[j + 8], r[j + 12], 0xdd);
    t[j] = _mm512_shuffle_f32x4(a, c, 0x88);
    t[j + 8] = _mm512_shuffle_f32x4(a, c, 0xdd);
    t[j + 4] = _mm512_shuffle_f32x4(b, d, 0x88);
    t[j + 12] = _mm512_shuffle_f32x4(b, d, 0xdd);
  }
#pragma GCC unroll 16
  for (int i = 0; i < 16; ++i)
    if (i < columns) _mm512_storeu_ps(to + i * to_stride, t[i]);
}
#elif defined(USER_LLM_ISA_AVX2)
template <>
inline void transpose(const float* from, int64_t from_stride, int64_t rows, int64_t columns, float* to,
                      int64_t to_stride) {
  const __m256i mask = mask32(static_cast<int>(columns));
  __m256 r[8], t[8];
#pragma GCC unroll 8
  for (int i = 0; i < 8; ++i) r[i] = i < rows ? _mm256_maskload_ps(from + i * from_stride, mask) : _mm256_setzero_ps();
#pragma GCC unroll 8
  for (int i = 0; i < 8; i += 2) {
    t[i] = _mm256_unpacklo_ps(r[i], r[i + 1]);
    t[i + 1] = _mm256_unpackhi_ps(r[i], r[i + 1]);
  }
#pragma GCC unroll 8
  for (int i = 0; i < 8; i += 4)
#pragma GCC unroll 2
    for (int j = 0; j < 2; ++j) {
      const __m256d low = _mm256_castps_pd(t[i + j]), high = _mm256_castps_pd(t[i + j + 2]);
      r[i + 2 * j] = _mm256_castpd_ps(_mm256_unpacklo_pd(low, high));
      r[i + 2 * j + 1] = _mm256_castpd_ps(_mm256_unpackhi_pd(low, high));
    }
#pragma GCC unroll 4
  for (int j = 0; j < 4; ++j) {
    t[j] = _mm256_permute2f128_ps(r[j], r[j + 4], 0x20);
    t[j + 4] = _mm256_permute2f128_ps(r[j], r[j + 4], 0x31);
  }
#pragma GCC unroll 8
  for (int i = 0; i < 8; ++i)
    if (i < columns) _mm256_storeu_ps(to + i * to_stride, t[i]);
}
#endif

}  // namespace
}  // namespace userllm
