#pragma once
#include "ops/attention/attention.simd.h"

namespace userllm {

// Rows that a call of the forward path takes at most. A row is a query of one of the heads that share a key head.
constexpr int64_t kBlockedRows = 256;
// Keys that the backward path has at hand: whole blocks.
constexpr int64_t kBackwardKeys = 720;

// Elements of AttentionHead::scratch, aligned to 64 bytes.
SIMD_DECLARE(int64_t, attention_blocked_scratch_f32, (int64_t width))
SIMD_DECLARE(int64_t, attention_blocked_scratch_f64, (int64_t width))
SIMD_DECLARE(int64_t, attention_blocked_backward_scratch_f32, (int64_t width))
SIMD_DECLARE(int64_t, attention_blocked_backward_scratch_f64, (int64_t width))

// Attention of long sequences: blocks of queries over blocks of keys, float and double.
//
// Of `group` query heads, of which `head` is the first, over their key head; at most kBlockedRows rows.
SIMD_DECLARE(void, attention_blocked_f32,
             (const AttentionRules<float>& rules, const AttentionHead<float>& head, int64_t group))
SIMD_DECLARE(void, attention_blocked_f64,
             (const AttentionRules<double>& rules, const AttentionHead<double>& head, int64_t group))

// Gradients of keys and values, of `first_key` to `end_key`, and what these keys give to the gradient of the queries;
// any number of rows. Overwritten, or, for keys and values that are rows, added to.
SIMD_DECLARE(void, attention_blocked_backward_f32,
             (const AttentionRules<float>& rules, const AttentionHead<float>& head, int64_t group))
SIMD_DECLARE(void, attention_blocked_backward_f64,
             (const AttentionRules<double>& rules, const AttentionHead<double>& head, int64_t group))

}  // namespace userllm
