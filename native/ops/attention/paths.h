// Which kernel a sequence goes to, and what the kernels of a call need besides its tensors.
#pragma once
#include <algorithm>

#include "devices/cpu/thread_pool.h"
#include "ops/attention/blocked.simd.h"
#include "ops/attention/decode.simd.h"
#include "ops/attention/general.simd.h"
#include "ops/attention/layout.h"
#include "ops/attention/short.simd.h"

namespace userllm::attention {

// A sequence of the batch: where its tokens lie, and how many of them count.
struct Sequence {
  int64_t first_query, queries, query_slots;  // slots beyond the queries are padding
  int64_t first_key, keys, key_slots;
  int64_t first_unit;  // of work
  int64_t first_part;  // row of results of parts
};

// A path through attention, for the lengths it suits. A unit of forward work is a block of queries of one head, or of
// all heads that share a key head; of backward work, a key head, or a run of its keys.
template <class T> struct Path {
  void (*forward)(const AttentionRules<T>&, const AttentionHead<T>&, int64_t group);
  void (*backward)(const AttentionRules<T>&, const AttentionHead<T>&, int64_t group);
  int64_t query_block;
  bool takes_group;
  bool splits_keys;  // backward
  int64_t part = 0;  // forward: keys of one unit, whose results are joined; 0: all keys
};

// Query heads of a key head that a blocked unit takes together: with more, each of them has rows enough.
constexpr int64_t kMostGroup = 32;

template <class T> Path<T> path_of(const Layout& layout, int64_t queries, int64_t keys, int64_t blocked_rows) {
  constexpr bool kFloat = sizeof(T) == 4;
  if (queries > kShort || keys > kShort) {
    if (queries * layout.group <= kDecodeRows) {
      if constexpr (kFloat)
        return {SIMD_CALL(attention_decode_f32),
                SIMD_CALL(attention_blocked_backward_f32),
                kDecodeRows,
                true,
                true,
                kDecodeKeys};
      else
        return {SIMD_CALL(attention_decode_f64),
                SIMD_CALL(attention_blocked_backward_f64),
                kDecodeRows,
                true,
                true,
                kDecodeKeys};
    }
    const bool takes_group = layout.group <= kMostGroup;
    const int64_t query_block = takes_group ? std::max<int64_t>(blocked_rows / layout.group, 1) : blocked_rows;
    if constexpr (kFloat)
      return {SIMD_CALL(attention_blocked_f32), SIMD_CALL(attention_blocked_backward_f32), query_block, takes_group,
              true};
    else
      return {SIMD_CALL(attention_blocked_f64), SIMD_CALL(attention_blocked_backward_f64), query_block, takes_group,
              true};
  }
  if constexpr (kFloat) {
    if (layout.width > kShortHeadWidth)
      return {SIMD_CALL(attention_general_f32), SIMD_CALL(attention_general_backward_f32), kShort, false, false};
    // Gradients of rows, which sequences share, are added up by the general path.
    return {SIMD_CALL(attention_short_f32),
            layout.gathered ? SIMD_CALL(attention_general_backward_f32) : SIMD_CALL(attention_short_backward_f32),
            kShort, true, false};
  } else {
    return {SIMD_CALL(attention_general_f64), SIMD_CALL(attention_general_backward_f64), kShort, false, false};
  }
}

// Rows (queries of a key head) of a blocked unit: fewer where there would be few units.
inline int64_t blocked_rows_of(const Layout& layout) {
  int64_t rows = kBlockedRows;
  while (rows > 64 && layout.query_tokens * layout.heads < 32 * rows) rows /= 2;
  return rows;
}

// Runs that the keys of a head are split into for their gradients, where heads alone are few units. A run has its own
// sums for the gradient of the queries.
inline int64_t key_runs_of(const Layout& layout) {
  const int64_t heads = layout.batch * layout.kv_heads,
                keys = layout.ragged_keys ? layout.key_tokens : layout.key_slots;
  if (layout.gathered || heads == 0) return 1;  // rows may come twice
  return std::clamp<int64_t>(std::min((keys + kBackwardKeys - 1) / kBackwardKeys, 16 / heads), 1, 4);
}

// Most queries of all parts that keys are split into: one for each query of a part.
inline int64_t part_tokens_of(const Layout& layout) {
  int64_t queries = kDecodeRows / layout.group;  // of a sequence that is split
  if (!layout.ragged_queries && layout.query_slots > queries) queries = 0;
  if (!layout.ragged_queries) queries = std::min(queries, layout.query_slots);
  const int64_t parts = layout.ragged_keys ? layout.key_tokens / kDecodeKeys + layout.batch
                                           : layout.batch * ((layout.key_slots + kDecodeKeys - 1) / kDecodeKeys);
  return parts * queries;
}

// Where the parts of a call's scratch lie, in bytes.
template <class T> struct Scratch {
  Scratch(const Layout& layout, bool backward) {
    constexpr bool kFloat = sizeof(T) == 4;
    slots = aligned(size_t(layout.batch) * sizeof(Sequence));
    const bool may_be_long =
        layout.ragged_queries || layout.ragged_keys || layout.query_slots > kShort || layout.key_slots > kShort;
    int64_t elements = 0;
    if (may_be_long && backward)
      elements = kFloat ? SIMD_CALL(attention_blocked_backward_scratch_f32)(layout.width)
                        : SIMD_CALL(attention_blocked_backward_scratch_f64)(layout.width);
    else if (may_be_long)
      elements = kFloat ? std::max(SIMD_CALL(attention_blocked_scratch_f32)(layout.width),
                                   SIMD_CALL(attention_decode_scratch_f32)(layout.width))
                        : std::max(SIMD_CALL(attention_blocked_scratch_f64)(layout.width),
                                   SIMD_CALL(attention_decode_scratch_f64)(layout.width));
    slot = aligned(size_t(elements) * sizeof(T));
    parts = slots + size_t(thread_count()) * slot;
    const int64_t tokens = backward ? (key_runs_of(layout) - 1) * layout.query_tokens : part_tokens_of(layout);
    part_log_sums = parts + aligned(size_t(tokens * layout.heads * layout.width) * sizeof(T));
    bytes = part_log_sums + (backward ? 0 : size_t(tokens * layout.heads) * sizeof(T));
  }
  static size_t aligned(size_t n) { return (n + 63) / 64 * 64; }

  size_t slots, slot;  // of the tasks under way
  // Forward: [part_tokens, heads, width], and without the width. Backward: [runs but the first, query_tokens, heads,
  // width].
  size_t parts, part_log_sums;
  size_t bytes;
};

}  // namespace userllm::attention
