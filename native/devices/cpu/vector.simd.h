// Short vectors of the unit's instruction set, over GCC's vector extensions: arithmetic, comparison and `?:` are the
// compiler's. One source serves AVX-512, AVX2 and plain machines, float and double.
//
// Only for `*.simd.cpp` files; everything has internal linkage (see simd.h).
#pragma once
#include <math.h>

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

template <class T>
struct VectorOf {
  static constexpr int lanes = kVectorBytes / int(sizeof(T));
  typedef T type __attribute__((vector_size(kVectorBytes)));
};
template <class T>
using Vec = typename VectorOf<T>::type;
template <class T>
constexpr int kLanes = VectorOf<T>::lanes;

using VecF = Vec<float>;
using VecI = Vec<int32_t>;
using VecD = Vec<double>;

#define SIMD_INLINE static inline __attribute__((always_inline))

template <class T>
SIMD_INLINE Vec<T> splat(T value) {
  return Vec<T>{} + value;
}
template <class T>
SIMD_INLINE Vec<T> load(const T* from) {
  Vec<T> v;
  __builtin_memcpy(&v, from, sizeof v);
  return v;
}
template <class T>
SIMD_INLINE void store(T* to, Vec<T> v) {
  __builtin_memcpy(to, &v, sizeof v);
}
// The first `count` lanes; the others are `fill`.
template <class T>
SIMD_INLINE Vec<T> load_part(const T* from, int64_t count, T fill = 0) {
  Vec<T> v = splat(fill);
  __builtin_memcpy(&v, from, size_t(count) * sizeof(T));
  return v;
}
template <class T>
SIMD_INLINE void store_part(T* to, Vec<T> v, int64_t count) {
  __builtin_memcpy(to, &v, size_t(count) * sizeof(T));
}

// Calls body(offset, lanes) over [0, n): full vectors, then one part. `lanes` is a constant in the full ones when
// the body is inlined.
template <class T, class Body>
SIMD_INLINE void for_vectors(int64_t n, const Body& body) {
  int64_t i = 0;
  for (; i + kLanes<T> <= n; i += kLanes<T>) body(i, int64_t(kLanes<T>));
  if (i < n) body(i, n - i);
}
template <class T>
SIMD_INLINE Vec<T> load_lanes(const T* from, int64_t lanes, T fill = 0) {
  return lanes == kLanes<T> ? load(from) : load_part(from, lanes, fill);
}
template <class T>
SIMD_INLINE void store_lanes(T* to, Vec<T> v, int64_t lanes) {
  if (lanes == kLanes<T>)
    store(to, v);
  else
    store_part(to, v, lanes);
}

// NaN in either makes the result NaN, as PyTorch's maximum.
template <class V>
SIMD_INLINE V max_of(V a, V b) {
  return (a > b) | (a != a) ? a : b;
}

template <class V>
SIMD_INLINE auto reduce_add(V v) {
  constexpr int n = int(sizeof(V) / sizeof(v[0]));
  auto sum = v[0];
  for (int i = 1; i < n; ++i) sum += v[i];
  return sum;
}
template <class V>
SIMD_INLINE auto reduce_max(V v) {
  constexpr int n = int(sizeof(V) / sizeof(v[0]));
  auto most = v[0];
  for (int i = 1; i < n; ++i) most = (v[i] > most) | (v[i] != v[i]) ? v[i] : most;
  return most;
}

// e^x within 1 ulp or so: argument reduction by ln 2 in two parts, then the polynomial of Cephes' expf. Overflows to
// infinity, underflows through denormals to zero, keeps NaN.
SIMD_INLINE VecF exp_of(VecF x) {
  x = x > 89.0f ? splat(89.0f) : x;
  x = x < -104.0f ? splat(-104.0f) : x;
  const VecF shifted = x * 1.44269504088896341f + 12582912.0f;  // 1.5 * 2^23: rounds to a whole number in the low bits
  const VecI n = (VecI)shifted - 0x4b400000;
  const VecF whole = shifted - 12582912.0f;
  const VecF r = (x - whole * 0.693359375f) - whole * -2.12194440e-4f;
  VecF p = splat(1.9875691500e-4f);
  p = p * r + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  const VecF y = p * (r * r) + r + 1.0f;
  const VecI half = n >> 1;  // 2^n in two factors: each is a normal number
  return y * (VecF)((half + 127) << 23) * (VecF)((n - half + 127) << 23);
}
SIMD_INLINE VecD exp_of(VecD x) {
  for (int i = 0; i < kLanes<double>; ++i) x[i] = exp(x[i]);
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
  for (int i = 0; i < kLanes<double>; ++i) x[i] = tanh(x[i]);
  return x;
}

}  // namespace
}  // namespace userllm
