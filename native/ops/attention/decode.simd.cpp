// Few rows over many keys: the reading of keys and values is what takes time, so each is read once for all rows, a
// block at a time, while the next block is fetched. Scores are inner products here, a line per row and a lane per key.
#include "ops/attention/decode.simd.h"

#include "devices/cpu/transpose.simd.h"
#include "ops/attention/blocks.simd.h"
#include "ops/attention/dropout.simd.h"
#include "ops/attention/tile_product.simd.h"

namespace userllm {
namespace {

constexpr int64_t kBlock = 64;  // keys whose scores are at hand

// The sums of kLanes vectors, in their order. Neighbours in a vector are kLanes / 2, kLanes / 4, ... keys apart until
// the last step brings them together.
template <class T> SIMD_INLINE Vec<T> sums_of(Vec<T>* v) {
#pragma GCC unroll 4
  for (int half = kLanes<T> / 2; half; half /= 2)
#pragma GCC unroll 8
    for (int i = 0; i < half; ++i) v[i] = interleave_low(v[i], v[i + half]) + interleave_high(v[i], v[i + half]);
  return v[0];
}

// scores[r * kBlock + j] = query_r . key_j of kLanes keys, of which those from `count` on are zero. Queries and keys
// are whole vectors wide.
template <class T, int kRows>
static void score_keys(const T* queries, int64_t width, const T* keys, int64_t stride, int64_t count, int64_t ahead,
                       const T* values, int64_t value_stride, T* scores) {
  constexpr int kL = kLanes<T>;
  Vec<T> products[kRows][kL];
  for (int64_t j = 0; j < kL; ++j) {
    Vec<T> sum[kRows] = {};
    if (j < count) {
      const T* key = keys + j * stride;
      for (int64_t d = 0; d < width; d += kL) {
        if (ahead) {
          __builtin_prefetch(key + ahead * stride + d);
          __builtin_prefetch(values + (j + ahead) * value_stride + d);
        }
        const Vec<T> k = load(key + d);
#pragma GCC unroll 8
        for (int r = 0; r < kRows; ++r) sum[r] += load(queries + r * width + d) * k;
      }
    }
    for (int r = 0; r < kRows; ++r) products[r][j] = sum[r];
  }
  for (int r = 0; r < kRows; ++r) store(scores + r * kBlock, sums_of<T>(products[r]));
}

template <class T>
using ScoreKeys = void (*)(const T*, int64_t, const T*, int64_t, int64_t, int64_t, const T*, int64_t, T*);
template <class T>
constexpr ScoreKeys<T> kScoreKeys[kDecodeRows] = {score_keys<T, 1>, score_keys<T, 2>, score_keys<T, 3>,
                                                  score_keys<T, 4>, score_keys<T, 5>, score_keys<T, 6>,
                                                  score_keys<T, 7>, score_keys<T, 8>};

template <class T> inline int64_t decode_scratch(int64_t width) {
  return 2 * kDecodeRows * padded<T>(width) + 2 * kBlock * scratch_stride<T>(width) + (kDecodeRows + 1) * kBlock;
}

template <class T> static void decode(const AttentionRules<T>& rules, const AttentionHead<T>& head, int64_t group) {
  constexpr int kL = kLanes<T>;
  const int64_t width = rules.width, whole = padded<T>(width), rows = head.queries * group;
  T* const queries = head.scratch;
  T* const results = queries + kDecodeRows * whole;
  T* const scores = results + kDecodeRows * whole;
  T* const factors = scores + kDecodeRows * kBlock;
  T* const key_copies = factors + kBlock;
  T* const value_copies = key_copies + kBlock * scratch_stride<T>(width);

  int64_t begin[kDecodeRows], end[kDecodeRows], some_begin = head.end_key, some_end = head.first_key;
  T top[kDecodeRows], sum[kDecodeRows];
  const T factor = score_factor(rules);
  for (int64_t r = 0; r < rows; ++r) {
    const Row<T> row(head, group, r);
    begin[r] = max(first_visible(rules, row.position), head.first_key);
    end[r] = min(end_visible(rules, row.position, head.keys), head.end_key);
    if (begin[r] < end[r]) some_begin = min(some_begin, begin[r]), some_end = max(some_end, end[r]);
    T* query = queries + r * whole;
    copy_query(rules, head, row, begin[r] < end[r], query);
    for (int64_t d = 0; d < whole; d += kL) {
      store(query + d, load(query + d) * factor);
      store(results + r * whole + d, Vec<T>{});
    }
    top[r] = T(-kInfinity);
    sum[r] = 0;
  }

  const bool copies = head.rows || rules.rotates_keys || whole != width;
  for (int64_t first = some_begin / kBlock * kBlock; first < some_end; first += kBlock) {
    const int64_t from = max(first, some_begin), to = min(first + kBlock, some_end), count = to - from;
    const T *keys = key_copies, *values = value_copies;
    int64_t key_stride = scratch_stride<T>(width), value_stride = key_stride;
    if (copies) {
      copy_keys(rules, head, from, to, key_copies, value_copies, key_stride);
    } else {
      keys = head.key + from * (key_stride = head.key_stride);
      values = head.value + from * (value_stride = head.value_stride);
    }
    const int64_t ahead = !copies && to < some_end ? kBlock : 0;
    for (int64_t j = 0; j < count; j += kL)
      kScoreKeys<T>[rows - 1](queries, whole, keys + j * key_stride, key_stride, min(count - j, kL), ahead,
                              values + j * value_stride, value_stride, scores + j);

    for (int64_t r = 0; r < rows; ++r) {
      T* const row = scores + r * kBlock;
      if (rules.drops) {
        const Row<T> of(head, group, r);
        dropout_factors<kBlock>(
            rules, head.dropout_block + uint64_t(of.head) * kDropoutHead + uint64_t(of.query) * kDropoutRow, first,
            kBlock, factors);
      }
      Vec<T> most = splat(top[r]);
      for (int64_t j = 0; j < count; j += kL) {
        Vec<T> s = load(row + j), key;
        if (rules.soft_cap > 0) s = tanh_of(s) * T(double(rules.soft_cap) * kLog2E);
        for (int i = 0; i < kL; ++i) key[i] = T(j + i);
        s = (key >= T(begin[r] - from)) & (key < T(min(end[r], to) - from)) ? s : splat(T(-kInfinity));
        most = larger<T>(s, most);
        store(row + j, s);
      }
      const T now = reduce_max(most), base = now == T(-kInfinity) ? T(0) : now;
      const T decay = exp2_of(splat(top[r] - base))[0];
      Vec<T> total = {};
      for (int64_t j = 0; j < count; j += kL) {
        const Vec<T> power = exp2_of(load(row + j) - base);
        total += power;
        store(row + j, rules.drops ? power * load_part(factors + from - first + j, min(count - j, kL)) : power);
      }
      top[r] = now;
      sum[r] = sum[r] * decay + reduce_add(total);
      if (decay != 1)
        for (int64_t d = 0; d < whole; d += kL) store(results + r * whole + d, load(results + r * whole + d) * decay);
    }
    multiply<Into::kAdd>(TileProduct<T>{scores, kBlock, 1, values, value_stride, results, whole, count}, rows, whole);
  }

  for (int64_t r = 0; r < rows; ++r) {
    const Row<T> row(head, group, r);
    const T scale = sum[r] == 0 ? T(0) : 1 / sum[r];
    T* to = head.result + row.query * head.result_stride + row.head * width;
    for_vectors<T>(
        width, [&](int64_t d, int64_t lanes) { store_lanes(to + d, load(results + r * whole + d) * scale, lanes); });
    if (head.log_sum_exp) head.log_sum_exp[row.query * head.log_sum_exp_stride + row.head] = log_sum_of(top[r], sum[r]);
  }
}

template <class T>
static void join(const T* results, const T* log_sum_exps, int64_t count, int64_t stride, int64_t log_sum_exp_stride,
                 int64_t width, T* result, T* log_sum_exp) {
  T top = T(-kInfinity);
  for (int64_t p = 0; p < count; ++p) {
    const T part = log_sum_exps[p * log_sum_exp_stride];
    top = part > top || part != part ? part : top;
  }
  const T base = top == T(-kInfinity) ? T(0) : top;
  T sum = 0;
  for (int64_t p = 0; p < count; ++p) sum += exp_of(splat(log_sum_exps[p * log_sum_exp_stride] - base))[0];
  for (int64_t p = 0; p < count; ++p) {
    const T weight = sum == 0 ? T(0) : exp_of(splat(log_sum_exps[p * log_sum_exp_stride] - base))[0] / sum;
    for_vectors<T>(width, [&](int64_t d, int64_t lanes) {
      const Vec<T> part = load_part(results + p * stride + d, lanes) * weight;
      store_lanes(result + d, p ? load_part(result + d, lanes) + part : part, lanes);
    });
  }
  if (log_sum_exp) *log_sum_exp = sum == 0 ? T(-kInfinity) : base + T(__builtin_log(double(sum)));
}

}  // namespace

SIMD_DEFINE(int64_t, attention_decode_scratch_f32, (int64_t width)) { return decode_scratch<float>(width); }
SIMD_DEFINE(int64_t, attention_decode_scratch_f64, (int64_t width)) { return decode_scratch<double>(width); }

SIMD_DEFINE(void, attention_decode_f32,
            (const AttentionRules<float>& rules, const AttentionHead<float>& head, int64_t group)) {
  decode(rules, head, group);
}
SIMD_DEFINE(void, attention_decode_f64,
            (const AttentionRules<double>& rules, const AttentionHead<double>& head, int64_t group)) {
  decode(rules, head, group);
}

SIMD_DEFINE(void, attention_join_f32,
            (const float* results, const float* log_sum_exps, int64_t count, int64_t stride, int64_t log_sum_exp_stride,
             int64_t width, float* result, float* log_sum_exp)) {
  join(results, log_sum_exps, count, stride, log_sum_exp_stride, width, result, log_sum_exp);
}
SIMD_DEFINE(void, attention_join_f64,
            (const double* results, const double* log_sum_exps, int64_t count, int64_t stride,
             int64_t log_sum_exp_stride, int64_t width, double* result, double* log_sum_exp)) {
  join(results, log_sum_exps, count, stride, log_sum_exp_stride, width, result, log_sum_exp);
}

}  // namespace userllm
