#include "ops/attention/general.simd.h"

#include "devices/cpu/vector.simd.h"
#include "ops/attention/dropout.simd.h"
#include "ops/attention/rotary.simd.h"

namespace userllm {
namespace {

constexpr int64_t kBlock = 64;  // keys whose scores are at hand

template <class T> SIMD_INLINE T dot(const T* a, const T* b, int64_t width) {
  Vec<T> sum = {};
  for_vectors<T>(width, [&](int64_t i, int64_t lanes) { sum += load_lanes(a + i, lanes) * load_lanes(b + i, lanes); });
  return reduce_add(sum);
}

// y += by * x
template <class T> SIMD_INLINE void add_scaled(T by, const T* x, T* y, int64_t width) {
  for_vectors<T>(width, [&](int64_t i, int64_t lanes) {
    store_lanes(y + i, load_lanes(y + i, lanes) + by * load_lanes(x + i, lanes), lanes);
  });
}

// One query of a head and its visible keys, a block of them at a time.
template <class T> struct Query {
  const AttentionRules<T>& rules;
  const AttentionHead<T>& head;
  int64_t position, begin, end;
  uint64_t dropout_block;
  alignas(64) T query[kMostHeadWidth];  // rotated
  alignas(64) T key[kMostHeadWidth];    // the last one that was rotated
  alignas(64) T scores[kBlock];         // of the block; -inf where a key is not visible
  alignas(64) T factors[kBlock];        // of dropout

  Query(const AttentionRules<T>& rules_, const AttentionHead<T>& head_, int64_t i)
      : rules(rules_), head(head_), position(head_.first_position + i) {
    begin = first_visible(rules, position);
    end = end_visible(rules, position, head.keys);
    dropout_block = head.dropout_block + uint64_t(i) * kDropoutRow;
    if (begin < end) rotate<false>(rules, head.query + i * head.query_stride, position, query);
  }

  int64_t token_of(int64_t j) const { return head.rows ? head.rows[j] : j; }
  const T* value_of(int64_t j) const { return head.value + token_of(j) * head.value_stride; }
  const T* key_of(int64_t j) {
    const T* stored = head.key + token_of(j) * head.key_stride;
    if (!rules.rotates_keys) return stored;
    rotate<false>(rules, stored, j, key);
    return key;
  }

  // Calls body(first key, begin, end) for the blocks of visible keys, their scores and factors computed.
  template <class Body> void each_block(const Body& body) {
    for (int64_t first = begin / kBlock * kBlock; first < end; first += kBlock) {
      const int64_t from = begin > first ? begin : first, to = end < first + kBlock ? end : first + kBlock;
      for (int64_t j = 0; j < kBlock; ++j) scores[j] = T(-kInfinity);
      for (int64_t j = from; j < to; ++j) scores[j - first] = rules.scale * dot(query, key_of(j), rules.width);
      if (rules.soft_cap)
        for (int64_t j = 0; j < kBlock; j += kLanes<T>) {
          const Vec<T> s = load(scores + j), capped = rules.soft_cap * tanh_of(s / rules.soft_cap);
          store(scores + j, s == T(-kInfinity) ? s : capped);
        }
      if (rules.drops) dropout_factors<kBlock>(rules, dropout_block, first, kBlock, factors);
      body(first, from, to);
    }
  }
};

// The maximum runs along, and what was summed under a smaller one is scaled down.
template <class T> void forward_head(const AttentionRules<T>& rules, const AttentionHead<T>& head) {
  for (int64_t i = 0; i < head.queries; ++i) {
    T* result = head.result + i * head.result_stride;
    T* log_sum_exp = head.log_sum_exp ? head.log_sum_exp + i * head.log_sum_exp_stride : nullptr;
    for (int64_t d = 0; d < rules.width; ++d) result[d] = 0;
    if (log_sum_exp) *log_sum_exp = T(-kInfinity);
    Query<T> query(rules, head, i);
    if (query.begin >= query.end) continue;

    T max = T(-kInfinity), sum = 0;
    query.each_block([&](int64_t first, int64_t from, int64_t to) {
      Vec<T> top = splat(max);
      for (int64_t j = 0; j < kBlock; j += kLanes<T>) top = max_of(top, load(query.scores + j));
      const T before = max;
      max = reduce_max(top);
      const T shrink = before == max ? T(1) : exp_of(splat(before - max))[0];
      Vec<T> block_sum = {};
      for (int64_t j = 0; j < kBlock; j += kLanes<T>) {
        const Vec<T> p = exp_of(load(query.scores + j) - max);
        block_sum += p;
        store(query.scores + j, rules.drops ? p * load(query.factors + j) : p);
      }
      sum = sum * shrink + reduce_add(block_sum);
      if (shrink != 1)
        for (int64_t d = 0; d < rules.width; ++d) result[d] *= shrink;
      for (int64_t j = from; j < to; ++j) add_scaled(query.scores[j - first], query.value_of(j), result, rules.width);
    });
    for (int64_t d = 0; d < rules.width; ++d) result[d] /= sum;
    if (log_sum_exp) *log_sum_exp = max + log_of(splat(sum))[0];
  }
}

template <class T> void forward(const AttentionRules<T>& rules, AttentionHead<T> head, int64_t group) {
  for (int64_t h = 0; h < group; ++h, head = next_head(head, rules.width)) forward_head(rules, head);
}

template <class T> void zero_tokens(T* first, int64_t stride, int64_t count, int64_t width) {
  for (int64_t i = 0; first && i < count; ++i)
    for (int64_t d = 0; d < width; ++d) first[i * stride + d] = 0;
}

template <class T> void backward(const AttentionRules<T>& rules, const AttentionHead<T>& first_head, int64_t group) {
  AttentionHead<T> head = first_head;
  alignas(64) T query_grad[kMostHeadWidth], turned[kMostHeadWidth];
  if (!head.rows) {
    zero_tokens(head.key_grad, head.key_grad_stride, head.keys, rules.width);
    zero_tokens(head.value_grad, head.value_grad_stride, head.keys, rules.width);
  }
  for (int64_t h = 0; h < group; ++h, head = next_head(head, rules.width))
    for (int64_t i = 0; i < head.queries; ++i) {
      for (int64_t d = 0; d < rules.width; ++d) query_grad[d] = 0;
      Query<T> query(rules, head, i);
      const T* grad = head.grad + i * head.result_stride;
      const T log_sum_exp = head.log_sum_exp[i * head.log_sum_exp_stride];
      // sum_j P_j dP_j
      const T mean = dot(grad, head.result + i * head.result_stride, rules.width);
      query.each_block([&](int64_t first, int64_t from, int64_t to) {
        for (int64_t j = from; j < to; ++j) {
          const int64_t token = query.token_of(j);
          const T s = query.scores[j - first], factor = rules.drops ? query.factors[j - first] : T(1);
          const T p = exp_of(splat(s - log_sum_exp))[0];
          if (head.value_grad)
            add_scaled(p * factor, grad, head.value_grad + token * head.value_grad_stride, rules.width);
          T score_grad = p * (factor * dot(grad, query.value_of(j), rules.width) - mean) * rules.scale;
          if (rules.soft_cap) score_grad *= 1 - (s / rules.soft_cap) * (s / rules.soft_cap);
          if (head.query_grad) add_scaled(score_grad, query.key_of(j), query_grad, rules.width);
          if (!head.key_grad) continue;
          if (rules.rotates_keys) rotate<true>(rules, query.query, j, turned);
          add_scaled(score_grad, rules.rotates_keys ? turned : query.query,
                     head.key_grad + token * head.key_grad_stride, rules.width);
        }
      });
      if (!head.query_grad) continue;
      T* to = head.query_grad + i * head.query_grad_stride;
      if (query.begin < query.end)
        rotate<true>(rules, query_grad, query.position, to);
      else
        for (int64_t d = 0; d < rules.width; ++d) to[d] = 0;
    }
}

}  // namespace

SIMD_DEFINE(void, attention_general_f32,
            (const AttentionRules<float>& rules, const AttentionHead<float>& head, int64_t group)) {
  forward(rules, head, group);
}
SIMD_DEFINE(void, attention_general_f64,
            (const AttentionRules<double>& rules, const AttentionHead<double>& head, int64_t group)) {
  forward(rules, head, group);
}
SIMD_DEFINE(void, attention_general_backward_f32,
            (const AttentionRules<float>& rules, const AttentionHead<float>& head, int64_t group)) {
  backward(rules, head, group);
}
SIMD_DEFINE(void, attention_general_backward_f64,
            (const AttentionRules<double>& rules, const AttentionHead<double>& head, int64_t group)) {
  backward(rules, head, group);
}

}  // namespace userllm
