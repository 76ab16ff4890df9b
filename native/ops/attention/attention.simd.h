// The work of attention as its loops see it.
//
// A query at position p sees the keys [first_visible(p), end_visible(p)). With the rotated query q and keys k:
//
//     s_j = cap(scale * q . k_j)      P_j = exp(s_j - log_sum_exp)      result = sum_j kept_j P_j v_j
#pragma once
#include "core/random.h"
#include "devices/cpu/rotary.h"
#include "devices/cpu/simd.h"

namespace userllm {

constexpr int64_t kMostHeadWidth = 512;

// What is the same for every head of a call.
template <class T> struct AttentionRules {
  int64_t width;  // of a head
  T scale;
  T soft_cap;  // 0: none
  bool causal;
  int64_t window;  // 0: none

  RotaryStyle rotary_style;
  const T* rotary;  // [positions, rotary_width / 2, 2]: cosine and sine
  int64_t rotary_width;
  bool rotates_keys;

  bool drops;
  uint32_t dropout_threshold;  // a probability is kept where its random word is at least this
  T dropout_scale;             // of those that are kept
  uint64_t dropout_call, dropout_key;
};

// Random words of dropout: key j of query i of head h in sequence b has word j % 4 of Philox block
// ((b * heads + h) * kDropoutQueries + i) * kDropoutRow + j / 4: padding and layout do not change it.
constexpr uint64_t kDropoutRow = uint64_t(1) << 22, kDropoutQueries = uint64_t(1) << 22;
constexpr uint64_t kDropoutHead = kDropoutRow * kDropoutQueries;

// Rows of memory that will soon be wanted, asked for a few lines at a time between pieces of work: all at once they
// would fill the processor's list of requests and hold up the work itself. They lie apart, so that no prefetcher of the
// hardware sees what they have in common.
struct Ahead {
  static constexpr int kLines = 16, kMostStreams = 8;
  struct Stream {
    const char* row;
    int64_t stride, rows, bytes, offset;
  } streams[kMostStreams];
  int count = 0, at = 0;
};
template <class T>
static inline void add_rows(Ahead& ahead, const T* rows, int64_t stride, int64_t count, int64_t width) {
  if (rows && count > 0 && width > 0)
    ahead.streams[ahead.count++] = {reinterpret_cast<const char*>(rows), stride * int64_t(sizeof(T)), count,
                                    width * int64_t(sizeof(T)), 0};
}
static inline void ask(Ahead* ahead) {
  if (!ahead) return;
  for (int lines = Ahead::kLines; lines > 0 && ahead->at < ahead->count; --lines) {
    Ahead::Stream& s = ahead->streams[ahead->at];
    __builtin_prefetch(s.row + s.offset, 0, 2);
    if ((s.offset += 64) < s.bytes) continue;
    s.offset = 0;
    s.row += s.stride;
    if (--s.rows == 0) ++ahead->at;
  }
}

// A query head of a sequence. Pointers are those of token 0 of the sequence and of this head; strides are elements
// from a token to the next. The query heads that share a key head lie side by side: see `next_head`.
template <class T> struct AttentionHead {
  int64_t queries, keys;
  int64_t first_position;  // of query 0, among the keys; may be negative
  uint64_t dropout_block;  // of query 0

  const T *query, *key, *value;
  int64_t query_stride, key_stride, value_stride;
  const int32_t* rows;  // key j is token rows[j] of `key` and `value`, valid ones; null: token j

  T *result, *log_sum_exp;  // forward: log_sum_exp may be null
  int64_t result_stride, log_sum_exp_stride;

  // Backward. A gradient that is not wanted is null.
  const T* grad;  // strides as the result's
  T *query_grad, *key_grad, *value_grad;
  int64_t query_grad_stride, key_grad_stride, value_grad_stride;
  int64_t first_key, end_key;  // that count, for paths that split keys

  T* scratch;    // of the task, for paths that want some
  Ahead* ahead;  // for paths that ask; may be null
};

template <class T> static inline AttentionHead<T> next_head(AttentionHead<T> head, int64_t width) {
  head.query += width;
  head.result += width;
  if (head.log_sum_exp) ++head.log_sum_exp;
  if (head.grad) head.grad += width;
  if (head.query_grad) head.query_grad += width;
  head.dropout_block += kDropoutHead;
  return head;
}

// The queries [begin, end) of a head.
template <class T> static inline AttentionHead<T> queries_of(AttentionHead<T> head, int64_t begin, int64_t end) {
  head.queries = end - begin;
  head.first_position += begin;
  head.dropout_block += uint64_t(begin) * kDropoutRow;
  head.query += begin * head.query_stride;
  head.result += begin * head.result_stride;
  if (head.log_sum_exp) head.log_sum_exp += begin * head.log_sum_exp_stride;
  if (head.grad) head.grad += begin * head.result_stride;
  if (head.query_grad) head.query_grad += begin * head.query_grad_stride;
  return head;
}

// The keys that a query at `position` sees: [first_visible, end_visible), none when the end is not larger.
template <class T> static inline int64_t first_visible(const AttentionRules<T>& rules, int64_t position) {
  return rules.window && position >= rules.window ? position - rules.window + 1 : 0;
}
template <class T> static inline int64_t end_visible(const AttentionRules<T>& rules, int64_t position, int64_t keys) {
  const int64_t end = rules.causal ? position + 1 : rules.window ? position + rules.window : keys;
  return end < keys ? end : keys;
}

}  // namespace userllm
