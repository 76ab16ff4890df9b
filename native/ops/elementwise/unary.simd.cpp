#include "ops/elementwise/unary.simd.h"

#include "devices/cpu/vector.simd.h"

namespace userllm {
namespace {

// With s = sigmoid(2u): s + x s (1 - s) 2u'.
template <class T> SIMD_INLINE Vec<T> gelu_slope(Vec<T> x) {
  const Vec<T> s = gelu_gate<T>(x);
  return s + x * (s * (1 - s)) * (T(1.5957691216057308) + T(0.21406444881780076) * (x * x));
}
// The normal distribution and x times its density.
template <class T> SIMD_INLINE Vec<T> gelu_exact_slope(Vec<T> x) {
  return T(0.5) * (1 + erf_of(x * T(0.7071067811865476))) + x * (T(0.3989422804014327) * exp_of(T(-0.5) * (x * x)));
}
template <class V> SIMD_INLINE V silu_slope(V x) {
  const V s = sigmoid_of(x);
  return s * (1 + x * (1 - s));
}

#define FORMULA(name, formula)                                                \
  struct name##_formula {                                                     \
    template <class T> SIMD_INLINE Vec<T> apply(Vec<T> x) { return formula; } \
  };
UNARY_OPS(FORMULA)
#undef FORMULA

#define FORMULA(name, saved, formula)                                                       \
  struct name##_formula {                                                                   \
    template <class T> SIMD_INLINE Vec<T> apply(Vec<T> saved, Vec<T> g) { return formula; } \
  };
UNARY_BACKWARD_OPS(FORMULA)
#undef FORMULA

template <class Formula, class T> void apply(const T* x, T* to, int64_t count) {
  for_vectors<T>(count, [&](int64_t i, int64_t lanes) {
    store_lanes(to + i, Formula::template apply<T>(load_lanes(x + i, lanes)), lanes);
  });
}
template <class Formula, class T> void apply(const T* saved, const T* grad, T* to, int64_t count) {
  for_vectors<T>(count, [&](int64_t i, int64_t lanes) {
    store_lanes(to + i, Formula::template apply<T>(load_lanes(saved + i, lanes), load_lanes(grad + i, lanes)), lanes);
  });
}

template <class T> SIMD_INLINE void clamp(const T* x, T* __restrict to, int64_t count, T low, T high) {
  for (int64_t i = 0; i < count; ++i) {
    const T raised = x[i] < low ? low : x[i];
    to[i] = raised > high ? high : raised;
  }
}
template <class T>
SIMD_INLINE void clamp_backward(const T* x, const T* grad, T* __restrict to, int64_t count, T low, T high) {
  for (int64_t i = 0; i < count; ++i) to[i] = (x[i] < low) | (x[i] > high) ? T(0) : grad[i];
}

}  // namespace

#define CASE(name, formula) \
  case Unary::name: return apply<name##_formula>(x, to, count);
SIMD_DEFINE(void, unary_f32, (Unary op, const float* x, float* to, int64_t count)) {
  switch (op) { UNARY_OPS(CASE) }
}
SIMD_DEFINE(void, unary_f64, (Unary op, const double* x, double* to, int64_t count)) {
  switch (op) { UNARY_OPS(CASE) }
}
#undef CASE

#define CASE(name, saved_, formula) \
  case UnaryBackward::name: return apply<name##_formula>(saved, grad, to, count);
SIMD_DEFINE(void, unary_backward_f32,
            (UnaryBackward op, const float* saved, const float* grad, float* to, int64_t count)) {
  switch (op) { UNARY_BACKWARD_OPS(CASE) }
}
SIMD_DEFINE(void, unary_backward_f64,
            (UnaryBackward op, const double* saved, const double* grad, double* to, int64_t count)) {
  switch (op) { UNARY_BACKWARD_OPS(CASE) }
}
#undef CASE

SIMD_DEFINE(void, clamp_f32, (const float* x, float* to, int64_t count, float low, float high)) {
  clamp(x, to, count, low, high);
}
SIMD_DEFINE(void, clamp_f64, (const double* x, double* to, int64_t count, double low, double high)) {
  clamp(x, to, count, low, high);
}
SIMD_DEFINE(void, clamp_backward_f32,
            (const float* x, const float* grad, float* to, int64_t count, float low, float high)) {
  clamp_backward(x, grad, to, count, low, high);
}
SIMD_DEFINE(void, clamp_backward_f64,
            (const double* x, const double* grad, double* to, int64_t count, double low, double high)) {
  clamp_backward(x, grad, to, count, low, high);
}

}  // namespace userllm
