#pragma once
#include "ops/attention/attention.simd.h"

namespace userllm {

// What fits: the scores of a head lie in the first-level cache as a whole.
constexpr int64_t kShort = 64;            // queries, keys
constexpr int64_t kShortHeadWidth = 256;  // their tiles lie on the stack

// As the general path (see general.simd.h), for at most kShort queries and keys. Backward does not read the result, and
// wants keys that are not rows.
SIMD_DECLARE(void, attention_short_f32,
             (const AttentionRules<float>& rules, const AttentionHead<float>& head, int64_t group))
SIMD_DECLARE(void, attention_short_backward_f32,
             (const AttentionRules<float>& rules, const AttentionHead<float>& head, int64_t group))

}  // namespace userllm
