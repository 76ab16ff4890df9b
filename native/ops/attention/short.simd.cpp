// Attention of up to 64 queries over up to 64 keys, as small products over tiles in the first-level cache: two of them
// forward, five backward.
//
// Scores lie with the queries side by side, [key][query], so that a vector holds a key's scores with so many queries:
// maxima and sums of the softmax need no running along a vector, and no running maximum either. The queries are aligned
// at the end of their slots: a vector that is only partly used is the first, which sees the fewest keys. What no query
// sees is skipped.
#include "ops/attention/short.simd.h"

#include "devices/cpu/philox.simd.h"
#include "devices/cpu/vector.simd.h"
#include "ops/attention/rotary.simd.h"

namespace userllm {
namespace {

constexpr int64_t kL = kLanes<float>;
constexpr int64_t kRow = kShort;  // elements from a key's scores to the next key's
constexpr int64_t kMostHeight = 8;
#if defined(USER_LLM_ISA_AVX512)
constexpr int kMostVectors = 4;
constexpr int height_of(int64_t vectors) { return vectors == 4 ? 6 : 8; }
#else
constexpr int kMostVectors = 2;
constexpr int height_of(int64_t vectors) { return vectors == 2 ? 6 : 8; }
#endif
constexpr float kLog2E = 1.44269504088896341f, kLn2 = 0.693147180559945309f;

SIMD_INLINE int64_t min(int64_t a, int64_t b) { return a < b ? a : b; }
SIMD_INLINE int64_t max(int64_t a, int64_t b) { return a > b ? a : b; }
SIMD_INLINE int64_t round_down(int64_t n) { return n & ~(kL - 1); }
SIMD_INLINE int64_t round_up(int64_t n) { return (n + kL - 1) & ~(kL - 1); }

// A range of keys, of slots of queries, or of columns.
struct Range {
  int64_t begin, end;
};

// ---- products of tiles

// c[i][j] = sum_k a[i * a_row + k * a_k] * b[k * b_k + j], times scale[i] where there is one, or added to c.
struct Product {
  const float* a;
  int64_t a_row, a_k;
  const float* b;
  int64_t b_k;
  float* c;
  int64_t c_row;
  int64_t columns;
  const float* scale = nullptr;
  bool adds = false;
  Ahead* ahead = nullptr;
};

template <int kR, int kV> void tile(const Product& p, int64_t row, int64_t column, Range k, int64_t lanes) {
  Vec<float> sum[kR][kV];
#pragma GCC unroll 8
  for (int i = 0; i < kR; ++i)
#pragma GCC unroll 8
    for (int j = 0; j < kV; ++j) sum[i][j] = Vec<float>{};
  // What is in `p` is read before anything is stored: the compiler would read it again after each store.
  const int64_t a_row = p.a_row, a_k = p.a_k, b_k = p.b_k, c_row = p.c_row;
  const float* const scale = p.scale ? p.scale + row : nullptr;
  const bool adds = p.adds;
  float* c = p.c + row * c_row + column;
  // One pointer for every three rows: [p], [p + stride] and [p + 2 stride] are addressing modes.
  const float* a[(kR + 2) / 3];
#pragma GCC unroll 8
  for (int i = 0; i < (kR + 2) / 3; ++i) a[i] = p.a + (row + 3 * i) * a_row + k.begin * a_k;
  const float* b = p.b + k.begin * b_k + column;
  for (int64_t left = k.end - k.begin; left > 0; --left) {
    Vec<float> columns[kV];
#pragma GCC unroll 8
    for (int j = 0; j < kV; ++j) columns[j] = load(b + j * kL);
#pragma GCC unroll 8
    for (int i = 0; i < kR; ++i) {
      const float factor = a[i / 3][i % 3 * a_row];
#pragma GCC unroll 8
      for (int j = 0; j < kV; ++j) sum[i][j] += factor * columns[j];
    }
#pragma GCC unroll 8
    for (int i = 0; i < (kR + 2) / 3; ++i) a[i] += a_k;
    b += b_k;
  }
  if (scale)
#pragma GCC unroll 8
    for (int i = 0; i < kR; ++i)
#pragma GCC unroll 8
      for (int j = 0; j < kV; ++j) sum[i][j] *= scale[i];
  if (lanes == kL && !adds) {
#pragma GCC unroll 8
    for (int i = 0; i < kR; ++i, c += c_row)
#pragma GCC unroll 8
      for (int j = 0; j < kV; ++j) store(c + j * kL, sum[i][j]);
    return;
  }
#pragma GCC unroll 8
  for (int i = 0; i < kR; ++i, c += c_row)
#pragma GCC unroll 8
    for (int j = 0; j < kV; ++j) {
      const int64_t count = j < kV - 1 ? kL : lanes;
      float* to = c + j * kL;
      store_part(to, adds ? sum[i][j] + load_part(to, count) : sum[i][j], count);
    }
}

using TileFunction = void (*)(const Product&, int64_t row, int64_t column, Range k, int64_t lanes);

// By vectors and rows, each less one.
struct TileTable {
  TileFunction of[kMostVectors][kMostHeight];
};
template <int kV, int kR> constexpr void fill_rows(TileTable& table) {
  table.of[kV - 1][kR - 1] = tile<kR, kV>;
  if constexpr (kR > 1) fill_rows<kV, kR - 1>(table);
}
template <int kV> constexpr TileTable make_tile_table() {
  TileTable table{};
  if constexpr (kV > 1) table = make_tile_table<kV - 1>();
  fill_rows<kV, height_of(kV)>(table);
  return table;
}
constexpr TileTable kTiles = make_tile_table<kMostVectors>();

// The rows of a product, all of its columns. `sum_over(rows)` is the range of k that some rows need.
template <class SumOver> SIMD_INLINE void multiply(const Product& p, Range rows, const SumOver& sum_over) {
  for (int64_t column = 0; column < p.columns;) {
    const int64_t vectors = min((p.columns - column + kL - 1) / kL, kMostVectors);
    const int64_t height = height_of(vectors), rest = p.columns - column - (vectors - 1) * kL;
    for (int64_t row = rows.begin; row < rows.end; row += height) {
      const int64_t end = min(row + height, rows.end);
      kTiles.of[vectors - 1][end - row - 1](p, row, column, sum_over(Range{row, end}), min(rest, kL));
      ask(p.ahead);
    }
    column += vectors * kL;
  }
}

// ---- which query sees what

// Queries have slots, of whole vectors; the first ones are empty.
struct Visible {
  const AttentionRules<float>& rules;
  int64_t keys, empty, slots;
  int64_t position;  // of slot 0

  Visible(const AttentionRules<float>& rules_, const AttentionHead<float>& head)
      : rules(rules_),
        keys(head.keys),
        empty(round_up(head.queries) - head.queries),
        slots(round_up(head.queries)),
        position(head.first_position - empty) {}

  // The keys that the queries of some slots see, taken together.
  Range keys_of(Range queries) const {
    const int64_t begin = first_visible(rules, position + max(queries.begin, empty));
    return {begin, max(begin, end_visible(rules, position + queries.end - 1, keys))};
  }
  // The slots of queries that see any of some keys.
  Range queries_of(Range some) const {
    Range range = {empty, slots};
    if (rules.causal)
      range.begin = max(empty, some.begin - position);
    else if (rules.window)
      range.begin = max(empty, some.begin - rules.window + 1 - position);
    if (rules.window) range.end = min(slots, some.end - 1 + rules.window - position);
    return {range.begin, max(range.begin, range.end)};
  }
  // The lanes of the vector at a slot whose queries see a key, without regard to where the vector ends.
  Range lanes_of(int64_t slot, int64_t key) const {
    const int64_t from = key - position - slot;
    return {rules.causal ? from : rules.window ? from - rules.window + 1 : 0, rules.window ? from + rules.window : kL};
  }
};

// scores[key][slot] = what queries, [width][slot], and keys have for a product, where a query sees the key.
SIMD_INLINE void multiply_scores(const Visible& visible, const float* keys, int64_t key_stride,
                                 const float* queries_across, float* scores, Ahead* ahead) {
  const Product p = {keys, key_stride, 1, queries_across, kRow, scores, kRow, kRow};
  for (int64_t j = 0; j < visible.keys;) {
    const auto vectors_of = [&](int64_t end) {
      const Range slots = visible.queries_of({j, end});
      return Range{round_down(slots.begin), round_up(slots.end)};
    };
    int64_t end = min(j + kMostHeight, visible.keys);
    Range slots = vectors_of(end);
    if (const int64_t height = height_of(min((slots.end - slots.begin) / kL, kMostVectors)); height < end - j) {
      end = j + height;
      slots = vectors_of(end);
    }
    for (int64_t slot = slots.begin; slot < slots.end;) {
      const int64_t vectors = min((slots.end - slot) / kL, kMostVectors);
      kTiles.of[vectors - 1][end - j - 1](p, j, slot, {0, visible.rules.width}, kL);
      ask(ahead);
      slot += vectors * kL;
    }
    j = end;
  }
}

// ---- tiles

// to[i][0 .. width) = token i of `from`, and zeros up to whole vectors.
SIMD_INLINE void copy_rows(const float* from, int64_t stride, const int32_t* rows, int64_t count, int64_t width,
                           float* to) {
  for (int64_t i = 0; i < count; ++i) {
    const float* row = from + (rows ? rows[i] : i) * stride;
    int64_t d = 0;
    for (; d + kL <= width; d += kL, to += kL) store(to, load(row + d));
    if (d < width) store(to, load_part(row + d, width - d)), to += kL;
  }
}

#if defined(USER_LLM_ISA_AVX512)
// Swaps the off-diagonal blocks of kStep x kStep of a square of vectors.
template <int kStep> SIMD_INLINE void swap_blocks(__m512* x) {
  alignas(64) int low[16], high[16];
  for (int lane = 0; lane < 16; ++lane) {
    low[lane] = lane & kStep ? 16 + lane - kStep : lane;
    high[lane] = lane & kStep ? 16 + lane : lane + kStep;
  }
  const __m512i from_low = _mm512_load_si512(low), from_high = _mm512_load_si512(high);
#pragma GCC unroll 16
  for (int i = 0; i < 16; ++i)
    if (!(i & kStep)) {
      const __m512 a = x[i], b = x[i + kStep];
      x[i] = _mm512_permutex2var_ps(a, from_low, b);
      x[i + kStep] = _mm512_permutex2var_ps(a, from_high, b);
    }
}
#endif

// to[d][empty + i] = scale * from[i][d], in rows of kRow, and zeros in the empty slots.
SIMD_INLINE void transpose(const float* from, int64_t stride, int64_t count, int64_t width, int64_t empty, float scale,
                           float* to) {
#if defined(USER_LLM_ISA_AVX512)
  for (int64_t slot = 0; slot < empty + count; slot += 16)
    for (int64_t d = 0; d < width; d += 16) {
      const float* row = from + (slot - empty) * stride + d;
      const int64_t lanes = min(16, width - d), height = lanes;
      const __mmask16 mask = __mmask16((1u << lanes) - 1);
      __m512 x[16];
#pragma GCC unroll 16
      for (int r = 0; r < 16; ++r)
        x[r] = slot + r >= empty ? scale * _mm512_maskz_loadu_ps(mask, row + r * stride) : _mm512_setzero_ps();
      swap_blocks<8>(x);
      swap_blocks<4>(x);
      swap_blocks<2>(x);
      swap_blocks<1>(x);
#pragma GCC unroll 16
      for (int r = 0; r < 16; ++r)
        if (r < height) _mm512_storeu_ps(to + (d + r) * kRow + slot, x[r]);
    }
#else
  for (int64_t d = 0; d < width; ++d) {
    for (int64_t slot = 0; slot < empty; ++slot) to[d * kRow + slot] = 0;
    for (int64_t i = 0; i < count; ++i) to[d * kRow + empty + i] = scale * from[i * stride + d];
  }
#endif
}

SIMD_INLINE void rotate_rows(const AttentionRules<float>& rules, float* rows, int64_t stride, int64_t count,
                             int64_t first_position) {
  for (int64_t i = max(0, -first_position); i < count; ++i)
    rotate<false>(rules, rows + i * stride, first_position + i, rows + i * stride);
}
// From a tile of gradients of rotated rows to the tokens that they belong to.
SIMD_INLINE void store_turned_back(const AttentionRules<float>& rules, const float* rows, int64_t stride, int64_t count,
                                   int64_t first_position, float* to, int64_t to_stride) {
  for (int64_t i = 0; i < count; ++i)
    if (first_position + i >= 0)
      rotate<true>(rules, rows + i * stride, first_position + i, to + i * to_stride);
    else
      for (int64_t d = 0; d < rules.width; ++d) to[i * to_stride + d] = 0;
}

// factors[key][slot]: what dropout multiplies the probabilities with of the keys that a query sees. A lane is a query,
// so that words come out where they belong; those of a block are of four keys.
void find_factors(const AttentionRules<float>& rules, const AttentionHead<float>& head, const Visible& visible,
                  float* factors) {
  const VecU call[] = {splat(uint32_t(rules.dropout_call)), splat(uint32_t(rules.dropout_call >> 32))};
  for (int64_t slot = 0; slot < visible.slots; slot += kL) {
    VecU low = {}, high = {};  // of each query's first block; the blocks after it change the lower half alone
    for (int i = 0; i < kL; ++i) {
      const uint64_t block = head.dropout_block + uint64_t(slot + i - visible.empty) * kDropoutRow;
      low[i] = uint32_t(block), high[i] = uint32_t(block >> 32);
    }
    const Range keys = visible.keys_of({slot, slot + kL});
    for (int64_t j = keys.begin / 4 * 4; j < keys.end; j += 4) {
      VecU words[] = {low + uint32_t(j / 4), high, call[0], call[1]};
      philox_rounds(rules.dropout_key, words);
      for (int w = 0; w < 4; ++w)
        store(factors + (j + w) * kRow + slot,
              words[w] >= rules.dropout_threshold ? splat(rules.dropout_scale) : VecF{});
    }
  }
}

// ---- softmax of a vector of queries

// The lanes of a vector whose queries see a key.
#if defined(USER_LLM_ISA_AVX512)
using Lanes = __mmask16;
SIMD_INLINE Lanes all_lanes() { return 0xffff; }
SIMD_INLINE Lanes lanes_in(Range lanes) {
  return Lanes((0xffffu << max(lanes.begin, 0)) & ((1u << max(min(lanes.end, kL), 0)) - 1));
}
#else
using Lanes = VecI;
SIMD_INLINE Lanes all_lanes() { return splat(-1); }
SIMD_INLINE Lanes lanes_in(Range lanes) {
  VecI lane;
  for (int i = 0; i < kL; ++i) lane[i] = i;
  return (lane >= int32_t(max(lanes.begin, 0))) & (lane < int32_t(min(lanes.end, kL)));
}
#endif

// 2^x in the lanes that are seen, 0 in others.
SIMD_INLINE VecF exp2_of(VecF x, Lanes seen) {
#if defined(USER_LLM_ISA_AVX512)
  return (VecF)_mm512_maskz_mov_ps(seen, (__m512)exp2_of(x));
#else
  return seen ? exp2_of(x) : VecF{};
#endif
}

// The larger of a and, in the lanes that are seen, b. NaN needs no care: it comes out of the exponential.
SIMD_INLINE VecF larger(VecF a, VecF b, Lanes seen) {
#if defined(USER_LLM_ISA_AVX512)
  return (VecF)_mm512_mask_max_ps((__m512)a, seen, (__m512)b, (__m512)a);
#else
  return seen & (b > a) ? b : a;
#endif
}

// The keys that a vector of queries sees: of some, all lanes do.
struct Column {
  Range keys, full;

  Column(const Visible& visible, int64_t slot) : keys(visible.keys_of({slot, slot + kL})), full(keys) {
    const AttentionRules<float>& rules = visible.rules;
    const int64_t first = visible.position + slot;
    if (rules.causal)
      full.end = first + 1;
    else if (rules.window)
      full.end = first + rules.window;
    if (rules.window) full.begin = max(full.begin, first + kL - rules.window);
    full.begin = min(max(full.begin, keys.begin), keys.end);
    full.end = min(max(full.end, full.begin), keys.end);
  }

  // Calls body(key, lanes that see it).
  template <class Body>
  inline __attribute__((always_inline)) void each(const Visible& visible, int64_t slot, const Body& body) const {
    for (int64_t j = keys.begin; j < full.begin; ++j) body(j, lanes_in(visible.lanes_of(slot, j)));
    for (int64_t j = full.begin; j < full.end; ++j) body(j, all_lanes());
    for (int64_t j = full.end; j < keys.end; ++j) body(j, lanes_in(visible.lanes_of(slot, j)));
  }
};

// Caps scores, and leaves them in units of ln 2, as those are that need no cap. `slopes`, if any, gets the derivative.
SIMD_INLINE void cap_scores(float cap, Range keys, float* scores, float* slopes) {
  for (int64_t j = keys.begin; j < keys.end; ++j) {
    const VecF t = tanh_of(load(scores + j * kRow) / cap);
    store(scores + j * kRow, cap * kLog2E * t);
    if (slopes) store(slopes + j * kRow, 1 - t * t);
  }
}

// From scores to exponentials, times what dropout kept. By slot, their sums, and the scores that they start from.
template <bool kDrops>
void softmax(const Visible& visible, int64_t slot, float* scores, const float* factors, float* sums, float* tops) {
  const Column column(visible, slot);
  scores += slot, factors += slot;
  if (visible.rules.soft_cap > 0) cap_scores(visible.rules.soft_cap, column.keys, scores, nullptr);
  VecF top = splat(-kInfinity), other = top;  // side by side
  column.each(visible, slot, [&](int64_t j, Lanes seen) {
    const VecF before = top;
    top = larger(other, load(scores + j * kRow), seen), other = before;
  });
  top = larger(top, other, all_lanes());
  VecF sum = {};
  column.each(visible, slot, [&](int64_t j, Lanes seen) {
    const VecF e = exp2_of(load(scores + j * kRow) - top, seen);
    sum += e;
    store(scores + j * kRow, kDrops ? e * load(factors + j * kRow) : e);
  });
  store(sums + slot, sum);
  store(tops + slot, top);
}

// Zeros for the keys beside those that a vector of queries sees, as far as tiles reach.
SIMD_INLINE void clear_margins(Range keys, int64_t all, float* scores) {
  for (int64_t j = max(0, keys.begin - kMostHeight); j < keys.begin; ++j) store(scores + j * kRow, VecF{});
  for (int64_t j = keys.end; j < min(all, keys.end + kMostHeight); ++j) store(scores + j * kRow, VecF{});
}

// From scores to probabilities, times what dropout kept; in `grads`, from the gradient of those to that of the products
// of queries and keys.
template <bool kDrops>
void softmax_backward(const Visible& visible, int64_t slot, float* scores, float* grads, const float* factors,
                      float* slopes, const float* log_sum_exp) {
  const AttentionRules<float>& rules = visible.rules;
  const Column column(visible, slot);
  const bool capped = rules.soft_cap > 0;
  scores += slot, grads += slot, factors += slot, slopes += slot;
  if (capped) cap_scores(rules.soft_cap, column.keys, scores, slopes);
  const VecF total = load(log_sum_exp + slot) * kLog2E;
  VecF mean = {};
  column.each(visible, slot, [&](int64_t j, Lanes seen) {
    const VecF p = exp2_of(load(scores + j * kRow) - total, seen);
    store(scores + j * kRow, p);
    VecF d = load(grads + j * kRow);
    if (kDrops) store(grads + j * kRow, d *= load(factors + j * kRow));
    mean += p * d;
  });
  for (int64_t j = column.keys.begin; j < column.keys.end; ++j) {
    const VecF p = load(scores + j * kRow);
    const VecF g = p * rules.scale * (load(grads + j * kRow) - mean);
    store(grads + j * kRow, capped ? g * load(slopes + j * kRow) : g);
    if (kDrops) store(scores + j * kRow, p * load(factors + j * kRow));
  }
  clear_margins(column.keys, visible.keys, scores);
  clear_margins(column.keys, visible.keys, grads);
}

// ---- heads

// What goes on top of a product of queries and keys, in units of ln 2 where no cap needs others.
SIMD_INLINE float scale_of(const AttentionRules<float>& rules) {
  return rules.soft_cap > 0 ? rules.scale : rules.scale * kLog2E;
}

// rows[query] = what the scores of a query and the rows of its keys make: p.a is scores, p.b those rows.
SIMD_INLINE void multiply_by_query(const Visible& visible, Product p) {
  p.a += visible.empty, p.a_row = 1, p.a_k = kRow;
  for (int64_t slot = 0; slot < visible.slots; slot += kL)
    multiply(p, {max(slot - visible.empty, 0), slot + kL - visible.empty}, [&](Range queries) {
      return visible.keys_of({queries.begin + visible.empty, queries.end + visible.empty});
    });
}
// rows[key] = what the scores of a key and the rows of its queries make.
SIMD_INLINE void multiply_by_key(const Visible& visible, Product p) {
  p.a += visible.empty, p.a_row = kRow, p.a_k = 1;
  multiply(p, {0, visible.keys}, [&](Range keys) {
    const Range slots = visible.queries_of(keys);
    return Range{slots.begin - visible.empty, slots.end - visible.empty};
  });
}

void forward(const AttentionRules<float>& rules, AttentionHead<float> head, int64_t group) {
  alignas(64) float keys[kShort * kShortHeadWidth], values[kShort * kShortHeadWidth];
  alignas(64) float queries[kShort * kShortHeadWidth], queries_across[kShortHeadWidth * kRow];
  alignas(64) float scores[kShort * kRow], factors[kShort * kRow];
  alignas(64) float sums[kShort], tops[kShort], inverses[kShort], log_sum_exp[kShort];
  const int64_t width = rules.width, padded = round_up(width);
  const bool turns = rules.rotary_style != RotaryStyle::kNone;
  const float* key = head.key;
  int64_t key_stride = head.key_stride;
  if (head.rows || rules.rotates_keys) {
    copy_rows(head.key, head.key_stride, head.rows, head.keys, width, keys);
    if (rules.rotates_keys) rotate_rows(rules, keys, padded, head.keys, 0);
    key = keys, key_stride = padded;
  }
  const float* value = head.value;
  int64_t value_stride = head.value_stride;
  if (head.rows || width % kL) {
    copy_rows(head.value, head.value_stride, head.rows, head.keys, width, values);
    value = values, value_stride = padded;
  }

  for (int64_t h = 0; h < group; ++h, head = next_head(head, width)) {
    const Visible visible(rules, head);
    const float* query = head.query;
    int64_t query_stride = head.query_stride;
    if (turns) {
      copy_rows(query, query_stride, nullptr, head.queries, width, queries);
      rotate_rows(rules, queries, padded, head.queries, head.first_position);
      query = queries, query_stride = padded;
    }
    transpose(query, query_stride, head.queries, width, visible.empty, scale_of(rules), queries_across);
    multiply_scores(visible, key, key_stride, queries_across, scores, head.ahead);
    if (rules.drops) find_factors(rules, head, visible, factors);
    for (int64_t slot = 0; slot < visible.slots; slot += kL) {
      (rules.drops ? softmax<true> : softmax<false>)(visible, slot, scores, factors, sums, tops);
      ask(head.ahead);
    }
    for (int64_t slot = 0; slot < visible.slots; slot += kL) {
      const VecF sum = load(sums + slot);
      store(inverses + slot, sum == 0 ? VecF{} : 1 / sum);
      if (head.log_sum_exp) store(log_sum_exp + slot, load(tops + slot) * kLn2 + log_of(sum));
    }
    multiply_by_query(visible, {.a = scores,
                                .b = value,
                                .b_k = value_stride,
                                .c = head.result,
                                .c_row = head.result_stride,
                                .columns = width,
                                .scale = inverses + visible.empty,
                                .ahead = head.ahead});
    if (head.log_sum_exp)
      for (int64_t i = 0; i < head.queries; ++i)
        head.log_sum_exp[i * head.log_sum_exp_stride] = log_sum_exp[visible.empty + i];
  }
}

void backward(const AttentionRules<float>& rules, AttentionHead<float> head, int64_t group) {
  alignas(64) float keys[kShort * kShortHeadWidth], queries[kShort * kShortHeadWidth], grads[kShort * kShortHeadWidth];
  alignas(64) float queries_across[kShortHeadWidth * kRow], grads_across[kShortHeadWidth * kRow];
  alignas(64) float query_grads[kShort * kShortHeadWidth], key_grads[kShort * kShortHeadWidth];
  alignas(64) float scores[kShort * kRow], score_grads[kShort * kRow];
  alignas(64) float factors[kShort * kRow], slopes[kShort * kRow], log_sum_exp[kShort];
  const int64_t width = rules.width, padded = round_up(width);
  const bool turns = rules.rotary_style != RotaryStyle::kNone;
  copy_rows(head.key, head.key_stride, nullptr, head.keys, width, keys);
  if (rules.rotates_keys) rotate_rows(rules, keys, padded, head.keys, 0);

  for (int64_t h = 0; h < group; ++h, head = next_head(head, width)) {
    const Visible visible(rules, head);
    copy_rows(head.query, head.query_stride, nullptr, head.queries, width, queries);
    if (turns) rotate_rows(rules, queries, padded, head.queries, head.first_position);
    transpose(queries, padded, head.queries, width, visible.empty, scale_of(rules), queries_across);
    copy_rows(head.grad, head.result_stride, nullptr, head.queries, width, grads);
    transpose(grads, padded, head.queries, width, visible.empty, 1, grads_across);
    for (int64_t i = 0; i < visible.empty; ++i) log_sum_exp[i] = 0;
    for (int64_t i = 0; i < head.queries; ++i)
      log_sum_exp[visible.empty + i] = head.log_sum_exp[i * head.log_sum_exp_stride];

    multiply_scores(visible, keys, padded, queries_across, scores, head.ahead);
    multiply_scores(visible, head.value, head.value_stride, grads_across, score_grads, head.ahead);
    if (rules.drops) find_factors(rules, head, visible, factors);
    for (int64_t slot = 0; slot < visible.slots; slot += kL) {
      (rules.drops ? softmax_backward<true> : softmax_backward<false>)(visible, slot, scores, score_grads, factors,
                                                                       slopes, log_sum_exp);
      ask(head.ahead);
    }
    if (head.value_grad)
      multiply_by_key(visible, {.a = scores,
                                .b = grads,
                                .b_k = padded,
                                .c = head.value_grad,
                                .c_row = head.value_grad_stride,
                                .columns = width,
                                .adds = h > 0,
                                .ahead = head.ahead});
    if (head.key_grad)
      multiply_by_key(visible, {.a = score_grads,
                                .b = queries,
                                .b_k = padded,
                                .c = rules.rotates_keys ? key_grads : head.key_grad,
                                .c_row = rules.rotates_keys ? padded : head.key_grad_stride,
                                .columns = width,
                                .adds = h > 0,
                                .ahead = head.ahead});
    if (!head.query_grad) continue;
    multiply_by_query(visible, {.a = score_grads,
                                .b = keys,
                                .b_k = padded,
                                .c = turns ? query_grads : head.query_grad,
                                .c_row = turns ? padded : head.query_grad_stride,
                                .columns = width,
                                .ahead = head.ahead});
    if (turns)
      store_turned_back(rules, query_grads, padded, head.queries, head.first_position, head.query_grad,
                        head.query_grad_stride);
  }
  if (head.key_grad && rules.rotates_keys)
    store_turned_back(rules, key_grads, padded, head.keys, 0, head.key_grad, head.key_grad_stride);
}

}  // namespace

SIMD_DEFINE(void, attention_short_f32,
            (const AttentionRules<float>& rules, const AttentionHead<float>& head, int64_t group)) {
  forward(rules, head, group);
}
SIMD_DEFINE(void, attention_short_backward_f32,
            (const AttentionRules<float>& rules, const AttentionHead<float>& head, int64_t group)) {
  backward(rules, head, group);
}

}  // namespace userllm
