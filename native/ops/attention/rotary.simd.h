// Rotary positions of a head's row. Only for `*.simd.cpp` files (see simd.h).
#pragma once
#include "devices/cpu/rotary.simd.h"
#include "ops/attention/attention.simd.h"

namespace userllm {
namespace {

// y = x turned to `position`, or, with kBack, back from it; y may be x. Without a style, a copy.
template <bool kBack, class T> inline void rotate(const AttentionRules<T>& rules, const T* x, int64_t position, T* y) {
  const int64_t pairs = rules.rotary_style == RotaryStyle::kNone ? 0 : rules.rotary_width / 2;
  const T* turn = pairs ? rules.rotary + position * rules.rotary_width : nullptr;
  turn_row<kBack>(rules.rotary_style, turn, pairs, rules.width, x, y);
}

}  // namespace
}  // namespace userllm
