#pragma once
#include "devices/cpu/simd.h"

namespace userllm {

// clang-format off

// Name and formula over vectors of T.
#define UNARY_OPS(OP)                                                           \
  OP(abs, abs_of(x))                                                            \
  OP(cos, cos_of(x))                                                            \
  OP(exp, exp_of(x))                                                            \
  OP(gelu, x * gelu_gate<T>(x))                                                 \
  OP(gelu_exact, x * (T(0.5) * (1 + erf_of(x * T(0.7071067811865476)))))        \
  OP(log, log_of(x))                                                            \
  OP(negate, -x)                                                                \
  OP(reciprocal, 1 / x)                                                         \
  OP(relu, x < 0 ? splat(T(0)) : x)                                             \
  OP(rsqrt, 1 / sqrt_of(x))                                                     \
  OP(sigmoid, sigmoid_of(x))                                                    \
  OP(silu, x / (1 + exp_of(-x)))                                                \
  OP(sin, sin_of(x))                                                            \
  OP(softplus, (x <= 0 ? splat(T(0)) : x) + log1p_of(exp_of(-abs_of(x))))       \
  OP(sqrt, sqrt_of(x))                                                          \
  OP(square, x * x)                                                             \
  OP(tanh, tanh_of(x))

// The same for gradients: g is that of the result; of input x and result y, the formula reads the one that is named.
#define UNARY_BACKWARD_OPS(OP)                                                  \
  OP(abs_backward, x, x > 0 ? g : x < 0 ? -g : splat(T(0)))                     \
  OP(cos_backward, x, -g * sin_of(x))                                           \
  OP(gelu_backward, x, g * gelu_slope<T>(x))                                    \
  OP(gelu_exact_backward, x, g * gelu_exact_slope<T>(x))                        \
  OP(reciprocal_backward, y, -g * (y * y))                                      \
  OP(relu_backward, y, y <= 0 ? splat(T(0)) : g)                                \
  OP(rsqrt_backward, y, g * (T(-0.5) * (y * y * y)))                            \
  OP(sigmoid_backward, y, g * (y * (1 - y)))                                    \
  OP(silu_backward, x, g * silu_slope(x))                                       \
  OP(sin_backward, x, g * cos_of(x))                                            \
  OP(softplus_backward, x, g * sigmoid_of(x))                                   \
  OP(sqrt_backward, y, g * (T(0.5) / y))                                        \
  OP(square_backward, x, g * (x + x))                                           \
  OP(tanh_backward, y, g * (1 - y * y))

// clang-format on

enum class Unary : int {
#define NAME(name, formula) name,
  UNARY_OPS(NAME)
#undef NAME
};
enum class UnaryBackward : int {
#define NAME(name, saved, formula) name,
  UNARY_BACKWARD_OPS(NAME)
#undef NAME
};

SIMD_DECLARE(void, unary_f32, (Unary op, const float* x, float* to, int64_t count))
SIMD_DECLARE(void, unary_f64, (Unary op, const double* x, double* to, int64_t count))
SIMD_DECLARE(void, unary_backward_f32,
             (UnaryBackward op, const float* saved, const float* grad, float* to, int64_t count))
SIMD_DECLARE(void, unary_backward_f64,
             (UnaryBackward op, const double* saved, const double* grad, double* to, int64_t count))

// to = x limited to [low, high], of which `high` wins; NaN stays. Its gradient is that of the elements inside.
SIMD_DECLARE(void, clamp_f32, (const float* x, float* to, int64_t count, float low, float high))
SIMD_DECLARE(void, clamp_f64, (const double* x, double* to, int64_t count, double low, double high))
SIMD_DECLARE(void, clamp_backward_f32,
             (const float* x, const float* grad, float* to, int64_t count, float low, float high))
SIMD_DECLARE(void, clamp_backward_f64,
             (const double* x, const double* grad, double* to, int64_t count, double low, double high))

}  // namespace userllm
