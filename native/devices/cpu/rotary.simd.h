// Rotary embedding of a head's row. Only for `*.simd.cpp` files (see simd.h).
#pragma once
#include <stdint.h>

#include "devices/cpu/rotary.h"

namespace userllm {
namespace {

// y = x with its pairs turned by the angles whose cosines and sines are `turn`, or, with kBack, turned back; y may be
// x. What is beyond the pairs is copied.
template <bool kBack, class T>
inline void turn_row(RotaryStyle style, const T* turn, int64_t pairs, int64_t width, const T* x, T* y) {
  if (style == RotaryStyle::kHalf) {
    for (int64_t i = 0; i < pairs; ++i) {
      const T c = turn[2 * i], s = kBack ? -turn[2 * i + 1] : turn[2 * i + 1], a = x[i], b = x[i + pairs];
      y[i] = a * c - b * s;
      y[i + pairs] = b * c + a * s;
    }
  } else {
    for (int64_t i = 0; i < pairs; ++i) {
      const T c = turn[2 * i], s = kBack ? -turn[2 * i + 1] : turn[2 * i + 1], a = x[2 * i], b = x[2 * i + 1];
      y[2 * i] = a * c - b * s;
      y[2 * i + 1] = b * c + a * s;
    }
  }
  if (x != y)
    for (int64_t i = 2 * pairs; i < width; ++i) y[i] = x[i];
}

}  // namespace
}  // namespace userllm
