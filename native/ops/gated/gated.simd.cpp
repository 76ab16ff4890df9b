#include "ops/gated/gated.simd.h"

#include "devices/cpu/vector.simd.h"

namespace userllm {
namespace {

// Both activations are x s(x); `open` is s, and `slope` the derivative of x s(x).
template <class T> struct Silu {
  SIMD_INLINE Vec<T> open(Vec<T> x) { return sigmoid_of(x); }
  SIMD_INLINE Vec<T> slope(Vec<T> x, Vec<T> s) { return s * (1 + x * (1 - s)); }
};
// With u = sqrt(2/pi) (x + 0.044715 x^3), s = sigmoid(2u).
template <class T> struct GeluTanh {
  SIMD_INLINE Vec<T> open(Vec<T> x) { return gelu_gate<T>(x); }
  SIMD_INLINE Vec<T> slope(Vec<T> x, Vec<T> s) {
    return s + x * (s * (1 - s)) * (T(1.5957691216057308) + T(0.21406444881780076) * (x * x));
  }
};

template <class Activation, class T> void forward(const Gated<T>& c) {
  for (int64_t row = 0; row < c.rows; ++row) {
    const T *gate = c.gate + row * c.stride, *up = c.up + row * c.stride;
    T* result = c.result + row * c.width;
    for_vectors<T>(c.width, [&](int64_t i, int64_t lanes) {
      const Vec<T> x = load_lanes(gate + i, lanes);
      store_lanes(result + i, x * Activation::open(x) * load_lanes(up + i, lanes), lanes);
    });
  }
}

template <class Activation, class T> void backward(const Gated<T>& c) {
  for (int64_t row = 0; row < c.rows; ++row) {
    const T *gate = c.gate + row * c.stride, *up = c.up + row * c.stride, *grad = c.grad + row * c.width;
    T* gate_grad = c.gate_grad ? c.gate_grad + row * c.stride : nullptr;
    T* up_grad = c.up_grad ? c.up_grad + row * c.stride : nullptr;
    for_vectors<T>(c.width, [&](int64_t i, int64_t lanes) {
      const Vec<T> x = load_lanes(gate + i, lanes), g = load_lanes(grad + i, lanes), s = Activation::open(x);
      if (gate_grad) store_lanes(gate_grad + i, g * load_lanes(up + i, lanes) * Activation::slope(x, s), lanes);
      if (up_grad) store_lanes(up_grad + i, g * (x * s), lanes);
    });
  }
}

template <class T> SIMD_INLINE void run_forward(const Gated<T>& c) {
  c.activation == GateActivation::kSilu ? forward<Silu<T>>(c) : forward<GeluTanh<T>>(c);
}
template <class T> SIMD_INLINE void run_backward(const Gated<T>& c) {
  c.activation == GateActivation::kSilu ? backward<Silu<T>>(c) : backward<GeluTanh<T>>(c);
}

}  // namespace

SIMD_DEFINE(void, gated_f32, (const Gated<float>& call)) { run_forward(call); }
SIMD_DEFINE(void, gated_f64, (const Gated<double>& call)) { run_forward(call); }
SIMD_DEFINE(void, gated_backward_f32, (const Gated<float>& call)) { run_backward(call); }
SIMD_DEFINE(void, gated_backward_f64, (const Gated<double>& call)) { run_backward(call); }

}  // namespace userllm
