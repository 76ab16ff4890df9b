// Attention of long sequences, block by block. Dao, "FlashAttention-2", arXiv:2307.08691.
//
// A row is a query of one of the heads that share a key head; rows are ordered by query, then head. Scores lie with
// a line per key and a lane per row, so that a softmax runs down its lanes: no sums across lanes, no keys to transpose.
//
//     S[key, row] = K Q^T,   O[d, row] += V^T P      queries transposed once, results transposed back once
#include "ops/attention/blocked.simd.h"

#include "devices/cpu/transpose.simd.h"
#include "ops/attention/blocks.simd.h"
#include "ops/attention/dropout.simd.h"
#include "ops/attention/tile_product.simd.h"

namespace userllm {
namespace {

constexpr int64_t kKeyBlock = 96;          // keys whose scores are at hand: whole register tiles
constexpr int64_t kBackwardKeyBlock = 48;  // the same where scores and their gradients are
template <class T> constexpr int kPanelRows = kTileColumns<T>;
template <class T> constexpr int kBackwardRows = 2 * kTileColumns<T>;

template <class T> struct IntOf;
template <> struct IntOf<float> { typedef int32_t type; };
template <> struct IntOf<double> { typedef int64_t type; };
template <class T> using Int = typename IntOf<T>::type;

// The keys that rows see.
template <class T, int kRows> struct Sight {
  alignas(64) Int<T> begin[kRows];
  alignas(64) Int<T> end[kRows];
  int64_t some_begin, some_end;  // keys that some row sees
  int64_t all_begin, all_end;    // that all of them see

  // Rows [first, first + rows) of the heads.
  void look(const AttentionRules<T>& rules, const AttentionHead<T>& head, int64_t group, int64_t first, int64_t rows) {
    some_begin = all_end = head.keys;
    some_end = all_begin = 0;
    for (int64_t r = 0; r < kRows; ++r) begin[r] = end[r] = 0;
    for (int64_t r = 0; r < rows; ++r) {
      const int64_t position = head.first_position + (first + r) / group;
      const int64_t from = first_visible(rules, position), to = max(from, end_visible(rules, position, head.keys));
      begin[r] = Int<T>(from);
      end[r] = Int<T>(to);
      all_begin = max(all_begin, from);
      all_end = min(all_end, to);
      if (from == to) continue;
      some_begin = min(some_begin, from);
      some_end = max(some_end, to);
    }
  }
  bool sees(int64_t row) const { return begin[row] < end[row]; }
  bool hides_of(int64_t from, int64_t to) const { return from < all_begin || to > all_end; }
};
template <class T> SIMD_INLINE auto in_sight(const Int<T>* begin, const Int<T>* end, int64_t key) {
  const auto at = splat(Int<T>(key));
  return (load(begin) <= at) & (at < load(end));
}

// to[d * stride + r] = rows[r * row_stride + d], zero in the lanes from `count` rows on.
template <class T>
inline void transpose_rows(const T* rows, int64_t row_stride, int64_t count, int64_t width, T* to, int64_t stride,
                           int64_t columns) {
  for (int64_t r = 0; r < columns; r += kLanes<T>)
    for (int64_t d = 0; d < width; d += kLanes<T>)
      transpose(rows + r * row_stride + d, row_stride, max(0, min(count - r, kLanes<T>)), min(kLanes<T>, width - d),
                to + d * stride + r, stride);
}

// factors[key * stride + row] of dropout, for keys from `begin` on, a multiple of 4; `work` holds [lanes, kKeys].
template <int kKeys, class T>
inline void factors_of(const AttentionRules<T>& rules, const AttentionHead<T>& head, int64_t group, int64_t first,
                       int64_t rows, int64_t begin, T* factors, int64_t stride, T* work) {
  for (int64_t r = 0; r < rows; r += kLanes<T>) {
    for (int64_t i = 0; i < min(kLanes<T>, rows - r); ++i) {
      const Row<T> row(head, group, first + r + i);
      const uint64_t block = head.dropout_block + uint64_t(row.head) * kDropoutHead + uint64_t(row.query) * kDropoutRow;
      dropout_factors<kKeys>(rules, block, begin, kKeys, work + i * kKeys);
    }
    transpose_rows(work, kKeys, rows - r, kKeys, factors + r, stride, kLanes<T>);
  }
}

// ---- Forward

// Rows that fill a register tile, and what is known of them so far.
template <class T> struct Panel {
  static constexpr int kRows = kPanelRows<T>;
  T *query, *result;  // [width, kRows]
  int64_t rows;
  alignas(64) T top[kRows];  // the largest score
  alignas(64) T sum[kRows];  // of powers, under that maximum
  Sight<T, kRows> sight;
};

// One more block of keys for the first kVectors vectors of rows; `scores` and `factors` hold [keys, kRows].
template <class T, int kVectors>
static void attend_block(const AttentionRules<T>& rules, Panel<T>& panel, const T* keys, const T* values,
                         int64_t stride, int64_t begin, int64_t end, const T* factors, T* scores) {
  constexpr int kRows = Panel<T>::kRows, kL = kLanes<T>;
  const int64_t n = end - begin;
  multiply<Into::kSet>(TileProduct<T>{keys, stride, 1, panel.query, kRows, scores, kRows, rules.width}, n,
                       kVectors * kL);
  if (rules.soft_cap > 0) {
    const T cap = T(double(rules.soft_cap) * kLog2E);
    for (int64_t j = 0; j < n; ++j)
      for (int v = 0; v < kVectors; ++v) {
        T* at = scores + j * kRows + v * kL;
        store(at, tanh_of(load(at)) * cap);
      }
  }
  if (panel.sight.hides_of(begin, end))
    for (int64_t j = 0; j < n; ++j)
      for (int v = 0; v < kVectors; ++v) {
        T* at = scores + j * kRows + v * kL;
        const auto seen = in_sight<T>(panel.sight.begin + v * kL, panel.sight.end + v * kL, begin + j);
        store(at, seen ? load(at) : splat(T(-kInfinity)));
      }

  constexpr int kChains = 4;  // a maximum takes four cycles
  Vec<T> most[kChains][kVectors], top[kVectors], sum[kVectors] = {};
  for (int c = 0; c < kChains; ++c)
    for (int v = 0; v < kVectors; ++v) most[c][v] = load(panel.top + v * kL);
  int64_t j = 0;
  for (; j + kChains <= n; j += kChains)
#pragma GCC unroll 4
    for (int c = 0; c < kChains; ++c)
#pragma GCC unroll 2
      for (int v = 0; v < kVectors; ++v) most[c][v] = larger<T>(load(scores + (j + c) * kRows + v * kL), most[c][v]);
  for (; j < n; ++j)
    for (int v = 0; v < kVectors; ++v) most[0][v] = larger<T>(load(scores + j * kRows + v * kL), most[0][v]);
  alignas(64) T decay[kRows];
  for (int v = 0; v < kVectors; ++v) {
    top[v] = larger<T>(larger<T>(most[0][v], most[1][v]), larger<T>(most[2][v], most[3][v]));
    const Vec<T> before = load(panel.top + v * kL);
    store(panel.top + v * kL, top[v]);
    top[v] = top[v] == T(-kInfinity) ? Vec<T>{} : top[v];  // nothing seen yet
    store(decay + v * kL, exp2_of(before - top[v]));
  }
  for (j = 0; j < n; ++j)
#pragma GCC unroll 2
    for (int v = 0; v < kVectors; ++v) {
      T* at = scores + j * kRows + v * kL;
      const Vec<T> power = exp2_of(load(at) - top[v]);
      sum[v] += power;
      store(at, power);
    }
  for (int v = 0; v < kVectors; ++v)
    store(panel.sum + v * kL, load(panel.sum + v * kL) * load(decay + v * kL) + sum[v]);
  if (factors)
    for (int64_t i = 0; i < n * kRows; i += kL) store(scores + i, load(scores + i) * load(factors + i));
  multiply<Into::kDecay>(TileProduct<T>{values, 1, stride, scores, kRows, panel.result, kRows, n, decay}, rules.width,
                         kVectors * kL);
}

// Elements of the rows of queries or results on their way, or of random words.
template <class T> inline int64_t rows_scratch(int64_t width) {
  return max(kPanelRows<T> * padded<T>(width), kLanes<T> * kKeyBlock);
}
template <class T> constexpr int kPanels = int(kBlockedRows) / kPanelRows<T>;
template <class T> inline int64_t forward_scratch(int64_t width) {
  return 2 * kBlockedRows * width + 2 * kKeyBlock * (scratch_stride<T>(width) + kPanelRows<T>)+rows_scratch<T>(width);
}

template <class T>
inline void open_panel(const AttentionRules<T>& rules, const AttentionHead<T>& head, int64_t group, int64_t first,
                       Panel<T>& panel, T* rows) {
  const T factor = score_factor(rules);
  const int64_t stride = padded<T>(rules.width);
  panel.sight.look(rules, head, group, first, panel.rows);
  for (int64_t r = 0; r < panel.rows; ++r) {
    T* query = rows + r * stride;
    copy_query(rules, head, Row<T>(head, group, first + r), panel.sight.sees(r), query);
    for (int64_t i = 0; i < stride; i += kLanes<T>) store(query + i, load(query + i) * factor);
  }
  transpose_rows(rows, stride, panel.rows, rules.width, panel.query, panel.kRows, panel.kRows);
  for (int64_t i = 0; i < rules.width * panel.kRows; ++i) panel.result[i] = 0;
  for (int r = 0; r < panel.kRows; ++r) {
    panel.top[r] = T(-kInfinity);
    panel.sum[r] = 0;
  }
}

template <class T>
inline void close_panel(const AttentionRules<T>& rules, const AttentionHead<T>& head, int64_t group, int64_t first,
                        Panel<T>& panel, T* rows) {
  constexpr int kRows = Panel<T>::kRows, kL = kLanes<T>;
  const int64_t stride = padded<T>(rules.width);
  for (int v = 0; v < kRows; v += kL)
    for (int64_t d = 0; d < rules.width; d += kL)
      transpose(panel.result + d * kRows + v, kRows, min(kL, rules.width - d), kL, rows + v * stride + d, stride);
  for (int64_t r = 0; r < panel.rows; ++r) {
    const Row<T> row(head, group, first + r);
    const T scale = panel.sum[r] == 0 ? T(0) : 1 / panel.sum[r];
    T* to = head.result + row.query * head.result_stride + row.head * rules.width;
    for_vectors<T>(rules.width,
                   [&](int64_t i, int64_t lanes) { store_lanes(to + i, load(rows + r * stride + i) * scale, lanes); });
    if (head.log_sum_exp)
      head.log_sum_exp[row.query * head.log_sum_exp_stride + row.head] = log_sum_of(panel.top[r], panel.sum[r]);
  }
}

template <class T> static void forward(const AttentionRules<T>& rules, const AttentionHead<T>& head, int64_t group) {
  constexpr int kRows = Panel<T>::kRows;
  const int64_t width = rules.width, stride = scratch_stride<T>(width), all_rows = head.queries * group;
  const int64_t count = (all_rows + kRows - 1) / kRows;
  T* const scores = head.scratch;
  T* const factors = scores + kKeyBlock * kRows;
  T* const keys = factors + kKeyBlock * kRows;
  T* const values = keys + kKeyBlock * stride;
  T* const rows = values + kKeyBlock * stride;
  T* panel_scratch = rows + rows_scratch<T>(width);

  Panel<T> panels[kPanels<T>];
  int64_t begin = head.keys, end = 0;
  for (int64_t i = 0; i < count; ++i, panel_scratch += 2 * width * kRows) {
    Panel<T>& panel = panels[i];
    panel.query = panel_scratch;
    panel.result = panel_scratch + width * kRows;
    panel.rows = min(kRows, all_rows - i * kRows);
    open_panel(rules, head, group, i * kRows, panel, rows);
    begin = min(begin, panel.sight.some_begin);
    end = max(end, panel.sight.some_end);
  }
  for (int64_t first = begin / kKeyBlock * kKeyBlock; first < end; first += kKeyBlock) {
    const int64_t from = max(begin, first), to = min(first + kKeyBlock, end);
    copy_keys(rules, head, from, to, keys, values, stride);
    for (int64_t i = 0; i < count; ++i) {
      Panel<T>& panel = panels[i];
      const int64_t b = max(from, panel.sight.some_begin), e = min(to, panel.sight.some_end);
      if (b >= e) continue;
      if (rules.drops) factors_of<kKeyBlock>(rules, head, group, i * kRows, panel.rows, first, factors, kRows, rows);
      const auto attend = panel.rows > kLanes<T> ? attend_block<T, kTileVectors> : attend_block<T, 1>;
      attend(rules, panel, keys + (b - from) * stride, values + (b - from) * stride, stride, b, e,
             rules.drops ? factors + (b - first) * kRows : nullptr, scores);
    }
  }
  for (int64_t i = 0; i < count; ++i) close_panel(rules, head, group, i * kRows, panels[i], rows);
}

// ---- Backward
//
//     P = 2^(S - L)   dV += P dO   dP = V dO^T   dS = P (dP - D)   dK += dS Q   dQ += dS^T K
//
// with D = sum_d dO O of a row. Keys stay, rows pass by.

template <class T> inline int64_t backward_scratch(int64_t width) {
  constexpr int64_t kRows = kBackwardRows<T>;
  return 2 * kRows * width + (3 * kRows + 4 * kBackwardKeys) * scratch_stride<T>(width) +
         kBackwardKeyBlock * (3 * kRows + kLanes<T>);
}

// Rows, and what is needed of them.
template <class T> struct RowBlock {
  static constexpr int kRows = kBackwardRows<T>;
  int64_t first, rows;
  T *query, *grad, *query_grad;           // [kRows, stride], queries rotated
  T *transposed_query, *transposed_grad;  // [width, kRows], queries with the factor of the scores
  alignas(64) T log_sum[kRows];           // to base 2
  alignas(64) T mean[kRows];              // sum_d dO O
  Sight<T, kRows> sight;
};

template <class T>
inline void open_rows(const AttentionRules<T>& rules, const AttentionHead<T>& head, int64_t group, int64_t stride,
                      RowBlock<T>& block) {
  constexpr int kRows = RowBlock<T>::kRows;
  const int64_t width = rules.width, whole = padded<T>(width);
  const T factor = score_factor(rules);
  for (int64_t r = 0; r < kRows; ++r) {
    T *query = block.query + r * stride, *grad = block.grad + r * stride;
    block.log_sum[r] = block.mean[r] = 0;
    if (r >= block.rows) {
      for (int64_t i = 0; i < whole; ++i) query[i] = grad[i] = 0;
      continue;
    }
    const Row<T> row(head, group, block.first + r);
    copy_query(rules, head, row, block.sight.sees(r), query);
    const int64_t offset = row.query * head.result_stride + row.head * width;
    Vec<T> mean = {};
    for_vectors<T>(width, [&](int64_t i, int64_t lanes) {
      const Vec<T> g = load_part(head.grad + offset + i, lanes);
      store(grad + i, g);
      mean += g * load_part(head.result + offset + i, lanes);
    });
    block.mean[r] = reduce_add(mean);
    const T log_sum = head.log_sum_exp[row.query * head.log_sum_exp_stride + row.head];
    block.log_sum[r] = log_sum == T(-kInfinity) ? T(0) : T(double(log_sum) * kLog2E);
  }
  transpose_rows(block.query, stride, kRows, width, block.transposed_query, kRows, kRows);
  for (int64_t i = 0; i < width * kRows; i += kLanes<T>)
    store(block.transposed_query + i, load(block.transposed_query + i) * factor);
  transpose_rows(block.grad, stride, kRows, width, block.transposed_grad, kRows, kRows);
}

// Scores to probabilities, after dropout, and gradients of probabilities to those of scores, in place.
template <bool kPlain, class T>
static void differentiate_block(const AttentionRules<T>& rules, const RowBlock<T>& block, int64_t columns,
                                int64_t begin, int64_t keys, const T* factors, T* scores, T* grads) {
  constexpr int kRows = RowBlock<T>::kRows, kL = kLanes<T>;
  const T cap = T(double(rules.soft_cap) * kLog2E);
  const bool hides = block.sight.hides_of(begin, begin + keys);
  for (int64_t r = 0; r < columns; r += kL) {
    const Vec<T> log_sum = load(block.log_sum + r), mean = load(block.mean + r);
    for (int64_t j = 0; j < keys; ++j) {
      T *score_at = scores + j * kRows + r, *grad_at = grads + j * kRows + r;
      Vec<T> score = load(score_at), grad = load(grad_at);
      if constexpr (kPlain) {
        const Vec<T> p = exp2_of(score - log_sum);
        store(score_at, p);
        store(grad_at, p * (grad - mean));
      } else {
        Vec<T> slope = splat(T(1)), factor = splat(T(1));
        if (rules.soft_cap > 0) {
          const Vec<T> t = tanh_of(score);
          score = t * cap;
          slope = 1 - t * t;
        }
        if (factors) factor = load(factors + j * kRows + r);
        Vec<T> p = exp2_of(score - log_sum);
        Vec<T> score_grad = p * (grad * factor - mean) * slope;
        p *= factor;
        if (hides) {
          const auto seen = in_sight<T>(block.sight.begin + r, block.sight.end + r, begin + j);
          p = seen ? p : Vec<T>{};
          score_grad = seen ? score_grad : Vec<T>{};
        }
        store(score_at, p);
        store(grad_at, score_grad);
      }
    }
  }
}

// The gradient of the queries of a block by the keys of a part, written, or added to what other parts gave.
template <class T>
inline void close_rows(const AttentionRules<T>& rules, const AttentionHead<T>& head, int64_t group, int64_t stride,
                       bool adds, const RowBlock<T>& block) {
  for (int64_t r = 0; r < block.rows; ++r) {
    const Row<T> row(head, group, block.first + r);
    T* to = head.query_grad + row.query * head.query_grad_stride + row.head * rules.width;
    T* from = block.query_grad + r * stride;
    for_vectors<T>(rules.width, [&](int64_t i, int64_t) { store(from + i, load(from + i) * rules.scale); });
    if (block.sight.sees(r)) rotate<true>(rules, from, row.position, from);
    for_vectors<T>(rules.width, [&](int64_t i, int64_t lanes) {
      store_lanes(to + i, adds ? load_part(to + i, lanes) + load(from + i) : load(from + i), lanes);
    });
  }
}

// Gradients of a part of the keys, written, or added to where sequences share rows.
template <class T>
inline void close_keys(const AttentionRules<T>& rules, const AttentionHead<T>& head, int64_t begin, int64_t end,
                       T* key_grad, const T* value_grad, int64_t stride) {
  for (int64_t j = begin; j < end; ++j, key_grad += stride, value_grad += stride) {
    const int64_t token = head.rows ? head.rows[j] : j;
    const auto put = [&](T* to, const T* from, T scale) {
      for_vectors<T>(rules.width, [&](int64_t i, int64_t lanes) {
        const Vec<T> grad = load(from + i) * scale;
        store_lanes(to + i, head.rows ? load_part(to + i, lanes) + grad : grad, lanes);
      });
    };
    if (head.value_grad) put(head.value_grad + token * head.value_grad_stride, value_grad, T(1));
    if (!head.key_grad) continue;
    if (rules.rotates_keys) rotate<true>(rules, key_grad, j, key_grad);
    put(head.key_grad + token * head.key_grad_stride, key_grad, rules.scale);
  }
}

// A part of the keys, [begin, end).
template <class T>
static void backward_part(const AttentionRules<T>& rules, const AttentionHead<T>& head, int64_t group, int64_t begin,
                          int64_t end, bool adds) {
  constexpr int kRows = RowBlock<T>::kRows;
  const int64_t width = rules.width, whole = padded<T>(width), stride = scratch_stride<T>(width);
  T* scratch = head.scratch;
  const auto take = [&](int64_t elements) {
    T* const taken = scratch;
    scratch += elements;
    return taken;
  };
  T* const scores = take(kBackwardKeyBlock * kRows);
  T* const grads = take(kBackwardKeyBlock * kRows);
  RowBlock<T> block;
  block.transposed_query = take(width * kRows);
  block.transposed_grad = take(width * kRows);
  block.query = take(kRows * stride);
  block.grad = take(kRows * stride);
  block.query_grad = take(kRows * stride);
  T* const keys = take(kBackwardKeys * stride);
  T* const values = take(kBackwardKeys * stride);
  T* const key_grad = take(kBackwardKeys * stride);
  T* const value_grad = take(kBackwardKeys * stride);
  T* const factors = take(kBackwardKeyBlock * kRows);
  T* const words = take(kLanes<T> * kBackwardKeyBlock);
  copy_keys(rules, head, begin, end, keys, values, stride);
  for (int64_t i = 0; i < (end - begin) * stride; ++i) key_grad[i] = value_grad[i] = 0;

  const int64_t all_rows = head.queries * group;
  for (block.first = 0; block.first < all_rows; block.first += kRows) {
    block.rows = min(kRows, all_rows - block.first);
    block.sight.look(rules, head, group, block.first, block.rows);
    const int64_t seen_begin = max(begin, block.sight.some_begin), seen_end = min(end, block.sight.some_end);
    if (seen_begin < seen_end)
      open_rows(rules, head, group, stride, block);
    else if (adds || !head.query_grad)
      continue;
    for (int64_t i = 0; i < kRows * stride; ++i) block.query_grad[i] = 0;

    const int64_t columns = padded<T>(block.rows);
    for (int64_t first = seen_begin / kBackwardKeyBlock * kBackwardKeyBlock; first < seen_end;
         first += kBackwardKeyBlock) {
      const int64_t from = max(first, seen_begin), n = min(first + kBackwardKeyBlock, seen_end) - from;
      const int64_t at = (from - begin) * stride;
      multiply<Into::kSet>(TileProduct<T>{keys + at, stride, 1, block.transposed_query, kRows, scores, kRows, width}, n,
                           columns);
      multiply<Into::kSet>(TileProduct<T>{values + at, stride, 1, block.transposed_grad, kRows, grads, kRows, width}, n,
                           columns);
      if (rules.drops)
        factors_of<kBackwardKeyBlock>(rules, head, group, block.first, block.rows, first, factors, kRows, words);
      const T* dropped = rules.drops ? factors + (from - first) * kRows : nullptr;
      const bool plain = !rules.drops && rules.soft_cap == 0 && !block.sight.hides_of(from, from + n);
      const auto differentiate = plain ? differentiate_block<true, T> : differentiate_block<false, T>;
      differentiate(rules, block, columns, from, n, dropped, scores, grads);
      if (head.value_grad)
        multiply<Into::kAdd>(TileProduct<T>{scores, kRows, 1, block.grad, stride, value_grad + at, stride, columns}, n,
                             whole);
      if (head.key_grad)
        multiply<Into::kAdd>(TileProduct<T>{grads, kRows, 1, block.query, stride, key_grad + at, stride, columns}, n,
                             whole);
      if (head.query_grad)
        multiply<Into::kAdd>(TileProduct<T>{grads, 1, kRows, keys + at, stride, block.query_grad, stride, n},
                             block.rows, whole);
    }
    if (head.query_grad) close_rows(rules, head, group, stride, adds, block);
  }
  close_keys(rules, head, begin, end, key_grad, value_grad, stride);
}

template <class T> static void backward(const AttentionRules<T>& rules, const AttentionHead<T>& head, int64_t group) {
  int64_t begin = head.first_key;
  do {
    const int64_t end = min(begin + kBackwardKeys, head.end_key);
    backward_part(rules, head, group, begin, end, begin > head.first_key);
    begin = end;
  } while (begin < head.end_key);
}

}  // namespace

SIMD_DEFINE(int64_t, attention_blocked_scratch_f32, (int64_t width)) { return forward_scratch<float>(width); }
SIMD_DEFINE(int64_t, attention_blocked_scratch_f64, (int64_t width)) { return forward_scratch<double>(width); }
SIMD_DEFINE(int64_t, attention_blocked_backward_scratch_f32, (int64_t width)) { return backward_scratch<float>(width); }
SIMD_DEFINE(int64_t, attention_blocked_backward_scratch_f64, (int64_t width)) {
  return backward_scratch<double>(width);
}

SIMD_DEFINE(void, attention_blocked_f32,
            (const AttentionRules<float>& rules, const AttentionHead<float>& head, int64_t group)) {
  forward(rules, head, group);
}
SIMD_DEFINE(void, attention_blocked_f64,
            (const AttentionRules<double>& rules, const AttentionHead<double>& head, int64_t group)) {
  forward(rules, head, group);
}
SIMD_DEFINE(void, attention_blocked_backward_f32,
            (const AttentionRules<float>& rules, const AttentionHead<float>& head, int64_t group)) {
  backward(rules, head, group);
}
SIMD_DEFINE(void, attention_blocked_backward_f64,
            (const AttentionRules<double>& rules, const AttentionHead<double>& head, int64_t group)) {
  backward(rules, head, group);
}

}  // namespace userllm
