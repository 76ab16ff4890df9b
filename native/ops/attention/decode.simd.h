#pragma once
#include "ops/attention/attention.simd.h"

namespace userllm {

// Rows that a call takes at most. A row is a query of one of the heads that share a key head.
constexpr int64_t kDecodeRows = 8;
// Keys of one part: parts run side by side, and their results are joined.
constexpr int64_t kDecodeKeys = 256;

// Elements of AttentionHead::scratch, aligned to 64 bytes.
SIMD_DECLARE(int64_t, attention_decode_scratch_f32, (int64_t width))
SIMD_DECLARE(int64_t, attention_decode_scratch_f64, (int64_t width))

// Attention of a few queries over many keys, as text is generated: every key and value is read once.
//
// Of `group` query heads, of which `head` is the first, over the keys `first_key` to `end_key` of their key head.
SIMD_DECLARE(void, attention_decode_f32,
             (const AttentionRules<float>& rules, const AttentionHead<float>& head, int64_t group))
SIMD_DECLARE(void, attention_decode_f64,
             (const AttentionRules<double>& rules, const AttentionHead<double>& head, int64_t group))

// The results of `count` parts, `stride` and `log_sum_exp_stride` apart, as one; `log_sum_exp` may be null.
SIMD_DECLARE(void, attention_join_f32,
             (const float* results, const float* log_sum_exps, int64_t count, int64_t stride,
              int64_t log_sum_exp_stride, int64_t width, float* result, float* log_sum_exp))
SIMD_DECLARE(void, attention_join_f64,
             (const double* results, const double* log_sum_exps, int64_t count, int64_t stride,
              int64_t log_sum_exp_stride, int64_t width, double* result, double* log_sum_exp))

}  // namespace userllm
