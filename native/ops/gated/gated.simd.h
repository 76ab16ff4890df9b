#pragma once
#include "devices/cpu/simd.h"

namespace userllm {

enum class GateActivation : int { kSilu = 0, kGeluTanh = 1 };

// Rows of `width`; gates and ups lie `stride` elements apart, rows of everything else follow each other.
template <class T> struct Gated {
  GateActivation activation;
  const T *gate, *up;
  int64_t stride, rows, width;
  const T* grad;  // of the result, for the gradients
  T* result;      // activation(gate) · up
  // With the stride of gates and ups; either may be null.
  T *gate_grad, *up_grad;
};

SIMD_DECLARE(void, gated_f32, (const Gated<float>& call))
SIMD_DECLARE(void, gated_f64, (const Gated<double>& call))
SIMD_DECLARE(void, gated_backward_f32, (const Gated<float>& call))
SIMD_DECLARE(void, gated_backward_f64, (const Gated<double>& call))

}  // namespace userllm
