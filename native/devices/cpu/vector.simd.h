// Short vectors of the unit's instruction set, over GCC's vector extensions: arithmetic, comparison and `?:` are the
// compiler's. One source serves AVX-512, AVX2 and plain machines, float and double.
//
// Only for `*.simd.cpp` files; everything has internal linkage (see simd.h).
#pragma once
#if defined(USER_LLM_ISA_AVX512) || defined(USER_LLM_ISA_AVX2)
#include <immintrin.h>
#endif

#include "devices/cpu/simd.h"

namespace userllm {
namespace {

#if defined(USER_LLM_ISA_AVX512)
constexpr int kVectorBytes = 64;
#elif defined(USER_LLM_ISA_AVX2)
constexpr int kVectorBytes = 32;
#else
constexpr int kVectorBytes = 16;
#endif

constexpr float kInfinity = __builtin_inff();

template <class T> struct VectorOf {
  static constexpr int lanes = kVectorBytes / int(sizeof(T));
  typedef T type __attribute__((vector_size(kVectorBytes)));
};
template <class T> using Vec = typename VectorOf<T>::type;
template <class T> constexpr int kLanes = VectorOf<T>::lanes;

using VecF = Vec<float>;
using VecI = Vec<int32_t>;
using VecD = Vec<double>;

#define SIMD_INLINE static inline __attribute__((always_inline))

template <class T> SIMD_INLINE Vec<T> splat(T value) { return Vec<T>{} + value; }
// All bits set in lanes [0, count).
template <class T> SIMD_INLINE Vec<T> first_lanes(int64_t count) {
  Vec<T> lane;
  for (int i = 0; i < kLanes<T>; ++i) lane[i] = T(i);
  return lane < T(count);
}
template <class T> SIMD_INLINE Vec<T> load(const T* from) {
  Vec<T> v;
  __builtin_memcpy(&v, from, sizeof v);
  return v;
}
template <class T> SIMD_INLINE void store(T* to, Vec<T> v) { __builtin_memcpy(to, &v, sizeof v); }
// The first `count` lanes; the others are `fill`. Memory beyond them is not touched.
template <class T> SIMD_INLINE Vec<T> load_part(const T* from, int64_t count, T fill = 0) {
#if defined(USER_LLM_ISA_AVX512)
  if constexpr (sizeof(T) == 4)
    return (Vec<T>)_mm512_mask_loadu_epi32((__m512i)splat(fill), __mmask16((1u << count) - 1), from);
  if constexpr (sizeof(T) == 8)
    return (Vec<T>)_mm512_mask_loadu_epi64((__m512i)splat(fill), __mmask8((1u << count) - 1), from);
#elif defined(USER_LLM_ISA_AVX2)
  if constexpr (sizeof(T) == 4) {
    const Vec<int32_t> mask = first_lanes<int32_t>(count);
    return mask ? (Vec<T>)_mm256_maskload_epi32((const int*)from, (__m256i)mask) : splat(fill);
  }
  if constexpr (sizeof(T) == 8) {
    const Vec<int64_t> mask = first_lanes<int64_t>(count);
    return mask ? (Vec<T>)_mm256_maskload_epi64((const long long*)from, (__m256i)mask) : splat(fill);
  }
#endif
  Vec<T> v = splat(fill);
  __builtin_memcpy(&v, from, size_t(count) * sizeof(T));
  return v;
}
template <class T> SIMD_INLINE void store_part(T* to, Vec<T> v, int64_t count) {
#if defined(USER_LLM_ISA_AVX512)
  if constexpr (sizeof(T) == 4) return _mm512_mask_storeu_epi32(to, __mmask16((1u << count) - 1), (__m512i)v);
  if constexpr (sizeof(T) == 8) return _mm512_mask_storeu_epi64(to, __mmask8((1u << count) - 1), (__m512i)v);
#elif defined(USER_LLM_ISA_AVX2)
  if constexpr (sizeof(T) == 4)
    return _mm256_maskstore_epi32((int*)to, (__m256i)first_lanes<int32_t>(count), (__m256i)v);
  if constexpr (sizeof(T) == 8)
    return _mm256_maskstore_epi64((long long*)to, (__m256i)first_lanes<int64_t>(count), (__m256i)v);
#endif
  __builtin_memcpy(to, &v, size_t(count) * sizeof(T));
}

// Calls body(offset, lanes) over [0, n): full vectors, then one part. `lanes` is a constant in the full ones when
// the body is inlined.
template <class T, class Body> SIMD_INLINE void for_vectors(int64_t n, const Body& body) {
  int64_t i = 0;
  for (; i + kLanes<T> <= n; i += kLanes<T>) body(i, int64_t(kLanes<T>));
  if (i < n) body(i, n - i);
}
// How far ahead rows are asked for. Where the arithmetic of a vector fills the processor's window, too few lines are
// under way otherwise: tanh of rows from memory takes a third of the time with it.
constexpr int kPrefetchBytes = 1024;

template <class T> SIMD_INLINE Vec<T> load_lanes(const T* from, int64_t lanes, T fill = 0) {
  __builtin_prefetch((const char*)from + kPrefetchBytes);
  return lanes == kLanes<T> ? load(from) : load_part(from, lanes, fill);
}
template <class T> SIMD_INLINE void store_lanes(T* to, Vec<T> v, int64_t lanes) {
  if (lanes == kLanes<T>)
    store(to, v);
  else
    store_part(to, v, lanes);
}

// NaN in either makes the result NaN, as PyTorch's maximum.
template <class V> SIMD_INLINE V max_of(V a, V b) { return (a > b) | (a != a) ? a : b; }

// The lanes combined pairwise: the upper half with the lower one, and so on.
template <class V, class Combine> SIMD_INLINE auto reduce(V v, const Combine& combine) {
  constexpr int n = int(sizeof(V) / sizeof(v[0]));
#if __has_builtin(__builtin_shufflevector)
  if constexpr (n == 16)
    return reduce(combine(__builtin_shufflevector(v, v, 0, 1, 2, 3, 4, 5, 6, 7),
                          __builtin_shufflevector(v, v, 8, 9, 10, 11, 12, 13, 14, 15)),
                  combine);
  else if constexpr (n == 8)
    return reduce(combine(__builtin_shufflevector(v, v, 0, 1, 2, 3), __builtin_shufflevector(v, v, 4, 5, 6, 7)),
                  combine);
  else if constexpr (n == 4)
    return reduce(combine(__builtin_shufflevector(v, v, 0, 1), __builtin_shufflevector(v, v, 2, 3)), combine);
  else
    return combine(v[0], v[1]);
#else
  for (int half = n / 2; half; half /= 2)
    for (int i = 0; i < half; ++i) v[i] = combine(v[i], v[i + half]);
  return v[0];
#endif
}
template <class V> SIMD_INLINE auto reduce_add(V v) {
  return reduce(v, [](auto a, auto b) { return a + b; });
}
template <class V> SIMD_INLINE auto reduce_max(V v) {
  return reduce(v, [](auto a, auto b) { return max_of(a, b); });
}

// e^x within 1 ulp or so: argument reduction by ln 2 in two parts, then the polynomial of Cephes' expf. Overflows to
// infinity, underflows through denormals to zero, keeps NaN. What is far below underflow, as hidden scores of -inf,
// makes no denormals on the way: they take a hundred cycles each.
SIMD_INLINE VecF exp_of(VecF x) {
  const auto reduced = [](VecF x, VecF whole) {
    const VecF r = (x - whole * 0.693359375f) - whole * -2.12194440e-4f;
    VecF p = splat(1.9875691500e-4f);
    p = p * r + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    return p * (r * r) + r + 1.0f;
  };
  x = x > 89.0f ? splat(89.0f) : x;
#if defined(USER_LLM_ISA_AVX512)
  const VecF whole = _mm512_maskz_roundscale_ps(0xffff, x * 1.44269504088896341f, 0);
  const __mmask16 seen = _mm512_cmp_ps_mask(x, splat(-104.0f), _CMP_NLE_UQ);
  return _mm512_maskz_scalef_ps(seen, reduced(x, whole), whole);
#else
  const VecI hidden = x < -104.0f;
  x = hidden ? VecF{} : x;
  const VecF shifted = x * 1.44269504088896341f + 12582912.0f;  // 1.5 * 2^23: rounds to a whole number in the low bits
  const VecI n = (VecI)shifted - 0x4b400000;
  const VecF y = reduced(x, shifted - 12582912.0f);
  const VecI half = n >> 1;  // 2^n in two factors: each is a normal number
  const VecF e = y * (VecF)((half + 127) << 23) * (VecF)((n - half + 127) << 23);
  return hidden ? VecF{} : e;
#endif
}
SIMD_INLINE VecD exp_of(VecD x) {
  for (int i = 0; i < kLanes<double>; ++i) x[i] = __builtin_exp(x[i]);
  return x;
}

// 2^x for x <= 0, within 1 ulp; below the smallest normal number zero. The softmax of scores that carry the factor
// log2 e takes three instructions less a vector than with exp_of.
SIMD_INLINE VecF exp2_of(VecF x) {
#if defined(USER_LLM_ISA_AVX512)
  const VecF whole = _mm512_maskz_roundscale_ps(0xffff, x, 0);
#else
  const VecI hidden = x < -126.0f;
  x = hidden ? VecF{} : x;
  const VecF shifted = x + 12582912.0f, whole = shifted - 12582912.0f;  // 1.5 * 2^23, as in exp_of
#endif
  const VecF r = x - whole;
  VecF p = splat(1.5353362e-4f);  // minimax of the relative error, |r| <= 1/2
  p = p * r + 1.3398874e-3f;
  p = p * r + 9.618437e-3f;
  p = p * r + 5.5503324e-2f;
  p = p * r + 2.4022648e-1f;
  p = p * r + 6.931472e-1f;
  p = p * r + 1.0f;
#if defined(USER_LLM_ISA_AVX512)
  const __mmask16 seen = _mm512_cmp_ps_mask(x, splat(-126.0f), _CMP_NLT_UQ);
  return _mm512_maskz_scalef_ps(seen, p, whole);
#else
  const VecF power = (VecF)(((VecI)shifted - 0x4b400000 + 127) << 23);
  return hidden ? VecF{} : p * power;
#endif
}
SIMD_INLINE VecD exp2_of(VecD x) {
  for (int i = 0; i < kLanes<double>; ++i) x[i] = __builtin_exp2(x[i]);
  return x;
}

// tanh x: Cephes' polynomial below 0.625, 1 - 2 / (e^2|x| + 1) above.
SIMD_INLINE VecF tanh_of(VecF x) {
  const VecF a = x < 0 ? -x : x, z = x * x;
  VecF p = splat(-5.70498872745e-3f);
  p = p * z + 2.06390887954e-2f;
  p = p * z + -5.37397155531e-2f;
  p = p * z + 1.33314422036e-1f;
  p = p * z + -3.33332819422e-1f;
  const VecF small = x + x * z * p;
  const VecF large = 1.0f - 2.0f / (exp_of(a + a) + 1.0f);
  return a < 0.625f ? small : x < 0 ? -large : large;
}
SIMD_INLINE VecD tanh_of(VecD x) {
  for (int i = 0; i < kLanes<double>; ++i) x[i] = __builtin_tanh(x[i]);
  return x;
}

template <class V> SIMD_INLINE V sqrt_of(V x) {
  constexpr int lanes = int(sizeof(V) / sizeof(x[0]));
  for (int i = 0; i < lanes; ++i) x[i] = sizeof(x[0]) == 8 ? __builtin_sqrt(x[i]) : __builtin_sqrtf(float(x[i]));
  return x;
}

SIMD_INLINE VecF abs_of(VecF x) { return (VecF)((VecI)x & 0x7fffffff); }
SIMD_INLINE VecD abs_of(VecD x) { return (VecD)((Vec<int64_t>)x & 0x7fffffffffffffff); }

// ln x: Cephes' logf over [1/sqrt 2, sqrt 2), plus the exponent's ln 2 in two parts.
SIMD_INLINE VecF log_of(VecF x) {
  const VecI tiny = x < 1.17549435e-38f;                         // denormals are scaled by 2^23
  const auto bits = (Vec<uint32_t>)(tiny ? x * 8388608.0f : x);  // unsigned: negative x may wrap around
  const VecI n = (VecI)(bits - 0x3f3504f3u) >> 23;
  const VecF m = (VecF)(bits - ((Vec<uint32_t>)n << 23)) - 1.0f, z = m * m;
  const VecF exponent = __builtin_convertvector(n + (tiny ? splat(-23) : splat(0)), VecF);
  VecF p = splat(7.0376836292e-2f);
  p = p * m + -1.1514610310e-1f;
  p = p * m + 1.1676998740e-1f;
  p = p * m + -1.2420140846e-1f;
  p = p * m + 1.4249322787e-1f;
  p = p * m + -1.6668057665e-1f;
  p = p * m + 2.0000714765e-1f;
  p = p * m + -2.4999993993e-1f;
  p = p * m + 3.3333331174e-1f;
  const VecF y = m + (p * m * z + exponent * -2.12194440e-4f - 0.5f * z) + exponent * 0.693359375f;
  const float infinity = __builtin_inff();
  return x == 0 ? splat(-infinity) : x < 0 ? splat(__builtin_nanf("")) : x < infinity ? y : x;
}
SIMD_INLINE VecD log_of(VecD x) {
  for (int i = 0; i < kLanes<double>; ++i) x[i] = __builtin_log(x[i]);
  return x;
}

// ln(1 + x) for x >= 0; the quotient repairs what rounding 1 + x lost (Kahan).
SIMD_INLINE VecF log1p_of(VecF x) {
  const VecF u = 1.0f + x;
  return u == 1.0f ? x : log_of(u) * (x / (u - 1.0f));
}
SIMD_INLINE VecD log1p_of(VecD x) {
  for (int i = 0; i < kLanes<double>; ++i) x[i] = __builtin_log1p(x[i]);
  return x;
}

// erf x: x P(x^2) below 0.925, 1 - exp(-P(x)) above; minimax polynomials.
SIMD_INLINE VecF erf_of(VecF x) {
  const VecF a = abs_of(x), z = x * x;
  VecF p = splat(-5.953758914e-4f);
  p = p * z + 4.985944823e-3f;
  p = p * z + -2.676172364e-2f;
  p = p * z + 1.128168269e-1f;
  p = p * z + -3.761248112e-1f;
  p = p * z + 1.283791477e-1f;
  const VecF small = x + x * p;
  const VecF t = a > 4.0f ? splat(4.0f) : a;
  VecF q = splat(-1.959373731e-4f);
  q = q * t + 3.043218715e-3f;
  q = q * t + -2.222692557e-2f;
  q = q * t + 1.039316077e-1f;
  q = q * t + 6.371822351e-1f;
  q = q * t + 1.127675634f;
  q = q * t + 1.956738796e-4f;
  const VecF large = 1.0f - exp_of(-q);
  return a < 0.925f ? small : x < 0 ? -large : large;
}
SIMD_INLINE VecD erf_of(VecD x) {
  for (int i = 0; i < kLanes<double>; ++i) x[i] = __builtin_erf(x[i]);
  return x;
}

SIMD_INLINE VecF sin_of(VecF x) {
  for (int i = 0; i < kLanes<float>; ++i) x[i] = __builtin_sinf(x[i]);
  return x;
}
SIMD_INLINE VecD sin_of(VecD x) {
  for (int i = 0; i < kLanes<double>; ++i) x[i] = __builtin_sin(x[i]);
  return x;
}
SIMD_INLINE VecF cos_of(VecF x) {
  for (int i = 0; i < kLanes<float>; ++i) x[i] = __builtin_cosf(x[i]);
  return x;
}
SIMD_INLINE VecD cos_of(VecD x) {
  for (int i = 0; i < kLanes<double>; ++i) x[i] = __builtin_cos(x[i]);
  return x;
}

template <class V> SIMD_INLINE V sigmoid_of(V x) { return 1 / (1 + exp_of(-x)); }

// GELU's tanh form, x/2 (1 + tanh u) with u = sqrt(2/pi) (x + 0.044715 x^3), is x sigmoid(2u): no cancellation.
template <class T> SIMD_INLINE Vec<T> gelu_gate(Vec<T> x) {
  return sigmoid_of(x * (T(1.5957691216057308) + T(0.07135481627260025) * (x * x)));
}

}  // namespace
}  // namespace userllm
