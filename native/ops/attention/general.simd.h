#pragma once
#include "ops/attention/attention.simd.h"

namespace userllm {

// Attention row by row: any length, float and double. The reference of the faster paths.
SIMD_DECLARE(void, attention_general_f32, (const AttentionRules<float>& rules, const AttentionHead<float>& head))
SIMD_DECLARE(void, attention_general_f64, (const AttentionRules<double>& rules, const AttentionHead<double>& head))

// Gradients of `group` query heads, of which `head` is the first, and of their key head. The gradients of keys and
// values are added to what is there.
SIMD_DECLARE(void, attention_general_backward_f32,
             (const AttentionRules<float>& rules, const AttentionHead<float>& head, int64_t group))
SIMD_DECLARE(void, attention_general_backward_f64,
             (const AttentionRules<double>& rules, const AttentionHead<double>& head, int64_t group))

}  // namespace userllm
