// Rotary positions of a head's row. Only for `*.simd.cpp` files (see simd.h).
#pragma once
#include "ops/attention/attention.simd.h"

namespace userllm {
namespace {

// y = x turned to `position`, or, with kBack, back from it; y may be x. Without a style, a copy.
template <bool kBack, class T> inline void rotate(const AttentionRules<T>& rules, const T* x, int64_t position, T* y) {
  const int64_t pairs = rules.rotary_style == RotaryStyle::kNone ? 0 : rules.rotary_width / 2;
  const T* turn = pairs ? rules.rotary + position * rules.rotary_width : nullptr;
  if (rules.rotary_style == RotaryStyle::kHalf) {
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
    for (int64_t i = 2 * pairs; i < rules.width; ++i) y[i] = x[i];
}

}  // namespace
}  // namespace userllm
