#pragma once
#include "ops/attention/attention.simd.h"

namespace userllm {

// Attention row by row: any length, float and double. The reference of the faster paths.
//
// Of `group` query heads, of which `head` is the first, over their key head. Gradients of keys and values are
// overwritten, or added to where keys are rows, which sequences may share.
SIMD_DECLARE(void, attention_general_f32,
             (const AttentionRules<float>& rules, const AttentionHead<float>& head, int64_t group))
SIMD_DECLARE(void, attention_general_f64,
             (const AttentionRules<double>& rules, const AttentionHead<double>& head, int64_t group))
SIMD_DECLARE(void, attention_general_backward_f32,
             (const AttentionRules<float>& rules, const AttentionHead<float>& head, int64_t group))
SIMD_DECLARE(void, attention_general_backward_f64,
             (const AttentionRules<double>& rules, const AttentionHead<double>& head, int64_t group))

}  // namespace userllm
