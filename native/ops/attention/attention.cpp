// Attention of queries over keys: softmax(scale q k^T) v per head, and its gradients, without the matrix of scores.
//
// Layouts of queries and of keys are independent: dense, ragged with offsets, or, for keys, rows of a store. A call is
// brought down to sequences, those to heads, and every head goes the path that suits its lengths alone, so neither
// padding nor the other sequences of a batch change a result.
#include <algorithm>
#include <cmath>

#include "core/op.h"
#include "devices/cpu/thread_pool.h"
#include "ops/attention/attention.simd.h"
#include "ops/attention/blocked.simd.h"
#include "ops/attention/decode.simd.h"
#include "ops/attention/general.simd.h"
#include "ops/attention/short.simd.h"

namespace userllm {
namespace {

enum In {
  kQuery,
  kKey,
  kValue,
  kQueryOffsets,
  kKeyOffsets,
  kKeyLengths,
  kRows,
  kRotary,
  kState,
  // Backward
  kGrad,
  kResult,
  kLogSumExp,
};
enum Attribute {
  kHeads,
  kKvHeads,
  kPacked,
  kCausal,
  kWindow,
  kSoftCap,
  kScale,
  kRotaryStyle,
  kRotatesKeys,
  kDropout,
  kCall,
};
const std::vector<std::string> kInputs = {"query",        "key?",  "value?",  "query_offsets?", "key_offsets?",
                                          "key_lengths?", "rows?", "rotary?", "state?"};
const std::vector<std::string> kAttributes = {"heads", "kv_heads",     "packed",       "causal",  "window", "soft_cap",
                                              "scale", "rotary_style", "rotates_keys", "dropout", "call"};

// A sequence of the batch: where its tokens lie, and how many of them count.
struct Sequence {
  int64_t first_query, queries, query_slots;  // slots beyond the queries are padding
  int64_t first_key, keys, key_slots;
  int64_t first_unit;  // of work
  int64_t first_part;  // row of results of parts
};

// How a call's tensors are laid out. Attributes and shapes are checked.
struct Layout {
  explicit Layout(const Call& c) {
    const Shape& query = c.in(kQuery).shape;
    heads = c.integer(kHeads);
    kv_heads = c.integer(kKvHeads);
    group = heads / kv_heads;
    width = query[-1];
    own_keys = c.flag(kPacked) && !c.in(kKey);
    ragged_queries = bool(c.in(kQueryOffsets));
    ragged_keys = own_keys ? ragged_queries : bool(c.in(kKeyOffsets));
    gathered = bool(c.in(kRows));
    batch = ragged_queries ? c.in(kQueryOffsets).shape[0] - 1 : query[0];
    query_tokens = query.rank == 4 ? query[0] * query[1] : query[0];
    query_slots = query.rank == 4 ? query[1] : 0;
    const Shape& key = own_keys ? query : c.in(kKey).shape;
    key_tokens = key.rank == 4 ? key[0] * key[1] : key[0];
    key_slots = gathered ? c.in(kRows).shape[1] : key.rank == 4 ? key[1] : 0;
    query_stride = query[-2] * width;
    key_stride = own_keys ? query_stride : kv_heads * width;
  }

  int64_t heads, kv_heads, group, width, batch;  // group: query heads of a key head
  bool own_keys, ragged_queries, ragged_keys, gathered;
  int64_t query_tokens, query_slots;  // slots of a dense sequence
  int64_t key_tokens, key_slots;
  int64_t query_stride, key_stride;
};

// ---- checks of a call ----

void require_count(Infer& c, int input, int64_t batch, int64_t extra, const char* why) {
  c.require_dtype(input, {DType::kInt32});
  c.require_shape(input, {batch + extra}, why);
}

void require_keys(Infer& c, int64_t batch, int64_t kv_heads, int64_t width) {
  if (!c.in(kKey) || !c.in(kValue))
    c.fail_usage(c.in(kKey) ? "key needs a value" : c.in(kValue) ? "value needs a key" : "key and value are needed");
  const bool flat = c.in(kKeyOffsets) || c.in(kRows);
  for (const int i : {kKey, kValue}) {
    c.require_same_dtype(kQuery, i);
    c.require_rank(i, flat ? 3 : 4, flat ? "[tokens, kvHeads, headWidth]" : "[batch, keys, kvHeads, headWidth]");
    if (c.shape(i)[-2] != kv_heads) c.fail(c.show(i), " must have ", kv_heads, " key heads, got ", c.shape(i)[-2]);
    if (c.shape(i)[-1] != width)
      c.fail(c.show(kQuery), " and ", c.show(i), " must have the same head width (", width, " vs ", c.shape(i)[-1],
             ")");
  }
  c.require_same_shape(kKey, kValue);
  if (!flat && c.shape(kKey)[0] != batch)
    c.fail(c.show(kKey), " must have the batch of the queries, ", batch, ", got ", c.shape(kKey)[0]);
}

Layout check(Infer& c) {
  const int64_t heads = c.integer(kHeads, 1, INT32_MAX), kv_heads = c.integer(kKvHeads, 1, INT32_MAX);
  if (heads % kv_heads) c.fail_usage("heads ", heads, " must be a multiple of kv_heads ", kv_heads);
  const bool packed = c.flag(kPacked), ragged = bool(c.in(kQueryOffsets));
  c.flag(kCausal);
  c.integer(kWindow, 0, INT32_MAX);
  c.number(kSoftCap, 0, 1e30);
  c.number(kScale, -1e30, 1e30);
  const auto style = RotaryStyle(c.integer(kRotaryStyle, 0, 2));
  c.flag(kRotatesKeys);
  if (c.number(kDropout, 0, 1) == 1) c.fail_usage("dropout must be less than 1");
  c.integer(kCall, 0, int64_t(1) << 53);

  c.require_float(kQuery);
  c.require_rank(kQuery, ragged ? 3 : 4, ragged ? "[tokens, heads, headWidth]" : "[batch, queries, heads, headWidth]");
  const Shape& query = c.shape(kQuery);
  if (const int64_t wanted = packed ? heads + 2 * kv_heads : heads; query[-2] != wanted)
    c.fail(c.show(kQuery), " must have ", wanted, packed ? " query, key and value heads" : " heads", ", got ",
           query[-2]);
  if (query[-1] > kMostHeadWidth) c.fail(c.show(kQuery), " has heads wider than ", kMostHeadWidth);

  c.require_rank(kQueryOffsets, 1, "[batch + 1]");
  if (ragged && c.shape(kQueryOffsets)[0] == 0)
    c.fail(c.show(kQueryOffsets), " must be [batch + 1], with at least one element");
  const int64_t batch = ragged ? c.shape(kQueryOffsets)[0] - 1 : query[0];
  if (packed && !c.in(kKey) && !c.in(kValue)) {
    if (c.in(kKeyOffsets) || c.in(kRows))
      c.fail_usage("packed keys lie as the queries: ", c.name(c.in(kRows) ? kRows : kKeyOffsets),
                   " is for separate ones");
  } else {
    require_keys(c, batch, kv_heads, query[-1]);
  }
  if (c.in(kKeyOffsets) && c.in(kRows)) c.fail_usage("keys are either ragged or rows, not both");
  require_count(c, kQueryOffsets, batch, 1, "one more than there are sequences");
  require_count(c, kKeyOffsets, batch, 1, "one more than there are sequences");
  require_count(c, kKeyLengths, batch, 0, "one for each sequence");
  if (c.in(kRows)) {
    c.require_dtype(kRows, {DType::kInt32});
    c.require_rank(kRows, 2, "[batch, keys]");
    if (c.shape(kRows)[0] != batch)
      c.fail(c.show(kRows), " must have the batch of the queries, ", batch, ", got ", c.shape(kRows)[0]);
  }
  const Layout layout(c.call);
  if (c.in(kKeyLengths) && layout.ragged_keys) c.fail_usage("ragged keys have no key_lengths: the offsets say them");

  if (bool(c.in(kRotary)) != (style != RotaryStyle::kNone))
    c.fail_usage("a rotary table needs a style, and a style a table");
  c.require_same_dtype(kQuery, kRotary);
  c.require_rank(kRotary, 3, "[positions, rotaryWidth / 2, 2]");
  if (c.in(kRotary)) {
    const Shape& table = c.shape(kRotary);
    if (table[2] != 2)
      c.fail(c.show(kRotary), " must be [positions, rotaryWidth / 2, 2], got ", table[2], " at the end");
    if (2 * table[1] > query[-1])
      c.fail(c.show(kRotary), " turns ", 2 * table[1], " elements of heads that are ", query[-1], " wide");
  }
  if (c.number(kDropout, 0, 1) > 0 && !c.in(kState)) c.fail_usage("dropout needs the state of a generator");
  c.require_dtype(kState, {DType::kInt32});
  c.require_shape(kState, {4}, "a generator's state");
  return layout;
}

Shape result_shape(const Layout& layout, const Shape& query) { return query.with(query.rank - 2, layout.heads); }

// ---- work ----

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
int64_t blocked_rows_of(const Layout& layout) {
  int64_t rows = kBlockedRows;
  while (rows > 64 && layout.query_tokens * layout.heads < 32 * rows) rows /= 2;
  return rows;
}

// Runs that the keys of a head are split into for their gradients, where heads alone are few units. A run has its own
// sums for the gradient of the queries.
int64_t key_runs_of(const Layout& layout) {
  const int64_t heads = layout.batch * layout.kv_heads,
                keys = layout.ragged_keys ? layout.key_tokens : layout.key_slots;
  if (layout.gathered || heads == 0) return 1;  // rows may come twice
  return std::clamp<int64_t>(std::min((keys + kBackwardKeys - 1) / kBackwardKeys, 16 / heads), 1, 4);
}

// Most queries of all parts that keys are split into: one for each query of a part.
int64_t part_tokens_of(const Layout& layout) {
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

void join(const float* results, const float* log_sums, int64_t count, int64_t stride, int64_t log_sum_stride,
          int64_t width, float* result, float* log_sum_exp) {
  SIMD_CALL(attention_join_f32)(results, log_sums, count, stride, log_sum_stride, width, result, log_sum_exp);
}
void join(const double* results, const double* log_sums, int64_t count, int64_t stride, int64_t log_sum_stride,
          int64_t width, double* result, double* log_sum_exp) {
  SIMD_CALL(attention_join_f64)(results, log_sums, count, stride, log_sum_stride, width, result, log_sum_exp);
}

template <class T> void zero_tokens(T* first, int64_t stride, int64_t begin, int64_t end, int64_t width) {
  if (first)
    for (int64_t i = begin; i < end; ++i) std::fill_n(first + i * stride, width, T(0));
}

template <class T> struct Attention {
  Attention(Call& call, bool backward)
      : c(call), layout(call), scratch(layout, backward), sequences(call.scratch<Sequence>()) {
    rules.width = layout.width;
    rules.scale = T(c.number(kScale));
    rules.soft_cap = T(c.number(kSoftCap));
    rules.causal = c.flag(kCausal);
    rules.window = c.integer(kWindow);
    rules.rotary_style = RotaryStyle(c.integer(kRotaryStyle));
    rules.rotary = c.in(kRotary).as<const T>();
    rules.rotary_width = c.in(kRotary) ? 2 * c.in(kRotary).shape[1] : 0;
    rules.rotates_keys = c.flag(kRotatesKeys) && c.in(kRotary);
    const double p = c.number(kDropout);
    rules.drops = p > 0;
    rules.dropout_threshold = dropout_threshold(p);
    rules.dropout_scale = T(1 / (1 - p));
    rules.dropout_call = uint64_t(c.integer(kCall));
    rules.dropout_key = rules.drops ? philox_key(c.in(kState).as<const int32_t>()) : 0;
    find_sequences();
  }

  // Whether the offsets rise from 0 to the number of tokens; reports the first that does not.
  bool check_offsets(int input, int64_t tokens) {
    const auto* offsets = c.in(input).as<const int32_t>();
    for (int64_t b = 0; b <= layout.batch; ++b) {
      const bool fits = b == 0 ? offsets[b] == 0 : offsets[b] >= offsets[b - 1];
      if (fits && offsets[b] <= tokens && (b < layout.batch || offsets[b] == tokens)) continue;
      c.fault(concat(plain_name(c.op->inputs[size_t(input)]), "[", b, "] = ", offsets[b],
                     " does not fit: offsets must rise from 0 to ", tokens, ", the number of tokens"));
      return false;
    }
    return true;
  }

  void find_sequences() {
    const auto* query_offsets = c.in(kQueryOffsets).as<const int32_t>();
    const auto* key_offsets = layout.own_keys ? query_offsets : c.in(kKeyOffsets).as<const int32_t>();
    const auto* lengths = c.in(kKeyLengths).as<const int32_t>();
    offsets_fit = !layout.ragged_queries || check_offsets(kQueryOffsets, layout.query_tokens);
    if (layout.ragged_keys && !layout.own_keys) offsets_fit &= check_offsets(kKeyOffsets, layout.key_tokens);
    if (!offsets_fit) return;
    for (int64_t b = 0; b < layout.batch; ++b) {
      Sequence& s = sequences[b];
      s.first_query = layout.ragged_queries ? query_offsets[b] : b * layout.query_slots;
      s.query_slots = layout.ragged_queries ? query_offsets[b + 1] - query_offsets[b] : layout.query_slots;
      s.first_key = layout.ragged_keys ? key_offsets[b] : layout.gathered ? 0 : b * layout.key_slots;
      s.key_slots = layout.ragged_keys ? key_offsets[b + 1] - key_offsets[b] : layout.key_slots;
      s.keys = s.key_slots;
      s.queries = s.query_slots;
      bool fits = true;
      if (lengths) {
        fits = lengths[b] >= 0 && lengths[b] <= s.key_slots;
        if (!fits) c.index_fault(kKeyLengths, b, lengths[b], s.key_slots + 1);
        s.keys = lengths[b];
        if (layout.own_keys) s.queries = s.keys;
      }
      fits = fits && rows_fit(b, s.keys) && positions_fit(s);
      if (!fits) s.queries = s.keys = 0;
    }
  }

  bool rows_fit(int64_t b, int64_t keys) {
    if (!layout.gathered) return true;
    const int32_t* rows = c.in(kRows).as<const int32_t>() + b * layout.key_slots;
    for (int64_t j = 0; j < keys; ++j) {
      if (rows[j] >= 0 && rows[j] < layout.key_tokens) continue;
      c.index_fault(kRows, b * layout.key_slots + j, rows[j], layout.key_tokens);
      return false;
    }
    return true;
  }

  // Queries that see a key stand at positions of the rotary table.
  bool positions_fit(const Sequence& s) {
    if (rules.rotary_style == RotaryStyle::kNone || s.queries == 0 || s.keys == 0) return true;
    const int64_t positions = c.in(kRotary).shape[0], first = s.keys - s.queries;
    const int64_t worst = s.keys > positions ? s.keys - 1 : !rules.causal && first < 0 ? first : 0;
    if (worst >= 0 && worst < positions) return true;
    c.fault(concat("position ", worst, " must be in [0, ", positions, "), the positions of the rotary table"));
    return false;
  }

  AttentionHead<T> head_of(const Sequence& s, int64_t b, int64_t kv_head, int64_t query_head) const {
    const int64_t width = layout.width;
    AttentionHead<T> head = {};
    head.queries = s.queries;
    head.keys = s.keys;
    head.first_position = s.keys - s.queries;
    head.dropout_block = uint64_t(b * layout.heads + query_head) * kDropoutHead;
    head.query_stride = layout.query_stride;
    head.key_stride = head.value_stride = layout.key_stride;
    head.query = c.in(kQuery).as<const T>() + s.first_query * layout.query_stride + query_head * width;
    if (layout.own_keys) {
      const T* first = c.in(kQuery).as<const T>() + s.first_key * layout.key_stride;
      head.key = first + (layout.heads + kv_head) * width;
      head.value = first + (layout.heads + layout.kv_heads + kv_head) * width;
    } else {
      head.key = c.in(kKey).as<const T>() + s.first_key * layout.key_stride + kv_head * width;
      head.value = c.in(kValue).as<const T>() + s.first_key * layout.key_stride + kv_head * width;
    }
    if (layout.gathered) head.rows = c.in(kRows).as<const int32_t>() + b * layout.key_slots;
    head.result_stride = layout.heads * width;
    head.log_sum_exp_stride = layout.heads;
    return head;
  }

  static constexpr double kWork = 50'000;
  // From here on the heads of a sequence, which share cache lines, are one task.
  static constexpr int64_t kManySequences = 16;

  void forward() {
    T *result = c.out(0).as<T>(), *log_sum_exp = c.out(1).as<T>();
    const int64_t width = layout.width, heads = layout.heads;
    if (!offsets_fit) {
      std::fill_n(result, c.out(0).count(), T(0));
      if (log_sum_exp) std::fill_n(log_sum_exp, c.out(1).count(), T(0));
      return;
    }
    int64_t units = 0, part_tokens = 0;
    double work = 0;
    for (int64_t b = 0; b < layout.batch; ++b) {
      Sequence& s = sequences[b];
      const Units of(*this, s);
      s.first_unit = units;
      s.first_part = part_tokens;
      units += of.count();
      if (of.parts > 1) part_tokens += of.parts * s.queries;
      work += double(s.queries) * double(s.keys) * double(heads * width);
    }
    int64_t grain = grain_of(work, units);
    if (layout.batch >= kManySequences) grain = std::max(grain, units / layout.batch);
    each_task(units, grain, [&](int64_t begin, int64_t end, T* task_scratch) {
      int64_t b = sequence_of(begin);
      for (int64_t unit = begin; unit < end; ++unit) {
        if (const int64_t next = next_unit(unit, end, grain); next < units) {
          const int64_t next_b = sequence_of(next);
          const Units of(*this, sequences[next_b]);
          ask_for(next_b, (next - sequences[next_b].first_unit) / of.blocks * of.heads, of.path, false);
        }
        while (b + 1 < layout.batch && sequences[b + 1].first_unit <= unit) ++b;
        const Sequence& s = sequences[b];
        const Units of(*this, s);
        const int64_t part = (unit - s.first_unit) % of.parts, rest = (unit - s.first_unit) / of.parts;
        const int64_t h = rest / of.blocks * of.heads, block = rest % of.blocks;
        AttentionHead<T> head = head_of(s, b, h / layout.group, h);
        head.scratch = task_scratch;
        head.result = result + (s.first_query * heads + h) * width;
        if (log_sum_exp) head.log_sum_exp = log_sum_exp + s.first_query * heads + h;
        if (block == 0 && part == 0) {
          zero_tokens(head.result, head.result_stride, s.queries, s.query_slots, of.heads * width);
          if (log_sum_exp)
            for (int64_t i = s.queries; i < s.query_slots; ++i)
              std::fill_n(head.log_sum_exp + i * heads, of.heads, T(-INFINITY));
        }
        head.first_key = part * of.path.part;
        head.end_key = of.path.part ? std::min(head.first_key + of.path.part, s.keys) : s.keys;
        if (of.parts > 1) {
          const int64_t at = (s.first_part + part * s.queries) * heads + h;
          head.result = part_results() + at * width;
          head.log_sum_exp = part_log_sums() + at;
        }
        const int64_t first = block * of.path.query_block, last = std::min(first + of.path.query_block, s.queries);
        of.path.forward(rules, queries_of(head, first, last), of.heads);
      }
    });
    if (part_tokens) join_parts(result, log_sum_exp);
  }

  T* part_results() const { return reinterpret_cast<T*>(c.scratch<char>() + scratch.parts); }
  T* part_log_sums() const { return reinterpret_cast<T*>(c.scratch<char>() + scratch.part_log_sums); }

  void join_parts(T* result, T* log_sum_exp) {
    const int64_t width = layout.width, heads = layout.heads;
    parallel_ranges(layout.batch, 4, [&](int64_t begin, int64_t end) {
      for (int64_t b = begin; b < end; ++b) {
        const Sequence& s = sequences[b];
        const int64_t parts = Units(*this, s).parts, rows = s.queries * heads;
        const int64_t to = s.first_query * heads, from = s.first_part * heads;
        for (int64_t r = 0; parts > 1 && r < rows; ++r)
          join(part_results() + (from + r) * width, part_log_sums() + from + r, parts, rows * width, rows, width,
               result + (to + r) * width, log_sum_exp ? log_sum_exp + to + r : nullptr);
      }
    });
  }

  // The units of a sequence's forward work: `blocks` times `parts` for each set of `heads` query heads.
  struct Units {
    Units(const Attention& a, const Sequence& s)
        : path(a.path_of_sequence(s)),
          heads(path.takes_group ? a.layout.group : 1),
          blocks(std::max<int64_t>((s.queries + path.query_block - 1) / path.query_block, 1)),
          sets(a.layout.heads / heads),
          parts(path.part ? std::max<int64_t>((s.keys + path.part - 1) / path.part, 1) : 1) {}
    int64_t count() const { return sets * blocks * parts; }

    Path<T> path;
    int64_t heads, blocks, sets, parts;
  };

  Path<T> path_of_sequence(const Sequence& s) const { return path_of<T>(layout, s.queries, s.keys, blocked_rows); }

  // Calls body(first unit, end, scratch) for tasks of `grain` units.
  template <class Body> void each_task(int64_t units, int64_t grain, const Body& body) const {
    parallel_with_slots((units + grain - 1) / grain, [&](int64_t task, int64_t slot) {
      body(task * grain, std::min((task + 1) * grain, units),
           reinterpret_cast<T*>(c.scratch<char>() + scratch.slots + size_t(slot) * scratch.slot));
    });
  }

  // What this thread will probably do after a unit of a task: the next one, or the first of the task that it claims
  // then.
  static int64_t next_unit(int64_t unit, int64_t end, int64_t grain) {
    return unit + 1 < end ? unit + 1 : end + (thread_count() - 1) * grain;
  }

  // Asks for the rows of a head, and of its key head, that a unit of work on a short sequence starts with.
  void ask_for(int64_t b, int64_t query_head, const Path<T>& path, bool backward) const {
    const Sequence& s = sequences[b];
    if (path.splits_keys || layout.gathered || s.queries > kShort || s.keys > kShort) return;
    const AttentionHead<T> head = head_of(s, b, query_head / layout.group, query_head);
    ask_for_rows(head.query, head.query_stride, s.queries, layout.width);
    ask_for_rows(head.key, head.key_stride, s.keys, layout.width);
    ask_for_rows(head.value, head.value_stride, s.keys, layout.width);
    if (backward)
      ask_for_rows(c.in(kGrad).as<const T>() + (s.first_query * layout.heads + query_head) * layout.width,
                   head.result_stride, s.queries, layout.width);
  }

  // Units of one task: about kWork multiply-adds.
  int64_t grain_of(double work, int64_t units) const { return int64_t(kWork * double(units) / (work + 1)) + 1; }

  int64_t sequence_of(int64_t unit) const {
    return std::upper_bound(sequences, sequences + layout.batch, unit,
                            [](int64_t at, const Sequence& s) { return at < s.first_unit; }) -
           sequences - 1;
  }

  void backward() {
    for (int i = 0; i < 3; ++i)
      if (c.out(i).data && (!offsets_fit || (i > 0 && layout.gathered)))
        std::fill_n(c.out(i).as<T>(), c.out(i).count(), T(0));
    if (!offsets_fit) return;
    double work = 0;
    for (int64_t b = 0; b < layout.batch; ++b)
      work += 3 * double(sequences[b].queries) * double(sequences[b].keys) * double(layout.heads * layout.width);
    // Sequences may share rows: all that add to a head of them are one unit then, in order.
    const int64_t units = layout.gathered ? layout.kv_heads : layout.batch * layout.kv_heads * runs;
    int64_t grain = grain_of(work, units);
    if (layout.batch >= kManySequences && !layout.gathered) grain = std::max(grain, layout.kv_heads);
    each_task(units, grain, [&](int64_t begin, int64_t end, T* task_scratch) {
      for (int64_t unit = begin; unit < end; ++unit) {
        if (layout.gathered) {
          for (int64_t b = 0; b < layout.batch; ++b) backward_of(b, unit, 0, task_scratch);
          continue;
        }
        if (const int64_t next = next_unit(unit, end, grain); next < units) {
          const int64_t b = next / runs / layout.kv_heads;
          ask_for(b, next / runs % layout.kv_heads * layout.group, path_of_sequence(sequences[b]), true);
        }
        backward_of(unit / runs / layout.kv_heads, unit / runs % layout.kv_heads, unit % runs, task_scratch);
      }
    });
    if (runs > 1 && c.out(0).data) add_runs();
  }

  int64_t runs_of(const Sequence& s) const {
    if (!path_of_sequence(s).splits_keys) return 1;
    return std::clamp<int64_t>((s.keys + kBackwardKeys - 1) / kBackwardKeys, 1, runs);
  }

  // What run `run` gives to the gradient of the queries, as [query_tokens, heads, width]. The first run writes the
  // gradient itself.
  T* query_grad_of(int64_t run) const {
    return reinterpret_cast<T*>(c.scratch<char>() + scratch.parts) +
           (run - 1) * layout.query_tokens * layout.heads * layout.width;
  }

  void add_runs() {
    const int64_t width = layout.heads * layout.width;
    parallel_ranges(layout.query_tokens, 16, [&](int64_t begin, int64_t end) {
      for (int64_t b = 0; b < layout.batch; ++b) {
        const Sequence& s = sequences[b];
        const int64_t last = std::min(end, s.first_query + s.queries), all = runs_of(s);
        for (int64_t token = std::max(begin, s.first_query); token < last; ++token)
          for (int64_t run = 1; run < all; ++run) {
            T* sum = c.out(0).as<T>() + token * layout.query_stride;
            const T* part = query_grad_of(run) + token * width;
            for (int64_t i = 0; i < width; ++i) sum[i] += part[i];
          }
      }
    });
  }

  // The gradients of a run of a key head, and of its query heads.
  void backward_of(int64_t b, int64_t kv_head, int64_t run, T* task_scratch) {
    const Sequence& s = sequences[b];
    const int64_t all_runs = runs_of(s);
    if (run >= all_runs) return;
    const int64_t width = layout.width, heads = layout.heads, kv_heads = layout.kv_heads, group = layout.group;
    const int64_t h = kv_head * group;
    AttentionHead<T> head = head_of(s, b, kv_head, h);
    const int64_t at = (s.first_query * heads + h) * width;
    head.grad = c.in(kGrad).as<const T>() + at;
    head.result = c.in(kResult).as<T>() + at;
    head.log_sum_exp = c.in(kLogSumExp).as<T>() + s.first_query * heads + h;
    head.query_grad_stride = layout.query_stride;
    head.key_grad_stride = head.value_grad_stride = layout.key_stride;
    if (T* first = c.out(0).as<T>()) head.query_grad = first + s.first_query * layout.query_stride + h * width;
    if (layout.own_keys && c.out(0).data) {
      T* first = c.out(0).as<T>() + s.first_key * layout.key_stride + (heads + kv_head) * width;
      head.key_grad = first;
      head.value_grad = first + kv_heads * width;
    } else if (!layout.own_keys) {
      const int64_t offset = s.first_key * layout.key_stride + kv_head * width;
      if (T* first = c.out(1).as<T>()) head.key_grad = first + offset;
      if (T* first = c.out(2).as<T>()) head.value_grad = first + offset;
    }
    const int64_t parts = (s.keys + kBackwardKeys - 1) / kBackwardKeys;
    head.first_key = parts * run / all_runs * kBackwardKeys;
    head.end_key = std::min(parts * (run + 1) / all_runs * kBackwardKeys, s.keys);
    head.scratch = task_scratch;
    if (run > 0) {
      if (head.query_grad) head.query_grad = query_grad_of(run) + at;
      head.query_grad_stride = heads * width;
      path_of_sequence(s).backward(rules, head, group);
      return;
    }
    zero_tokens(head.query_grad, head.query_grad_stride, s.queries, s.query_slots, group * width);
    if (!layout.gathered) {
      zero_tokens(head.key_grad, head.key_grad_stride, s.keys, s.key_slots, width);
      zero_tokens(head.value_grad, head.value_grad_stride, s.keys, s.key_slots, width);
    }
    if (!layout.own_keys && c.flag(kPacked) && head.query_grad) {  // a cache stood in for these heads
      T* first = c.out(0).as<T>() + s.first_query * layout.query_stride + (heads + kv_head) * width;
      zero_tokens(first, layout.query_stride, 0, s.query_slots, width);
      zero_tokens(first + kv_heads * width, layout.query_stride, 0, s.query_slots, width);
    }
    path_of_sequence(s).backward(rules, head, group);
  }

  Call& c;
  const Layout layout;
  const Scratch<T> scratch;
  AttentionRules<T> rules;
  Sequence* const sequences;
  const int64_t blocked_rows = blocked_rows_of(layout);
  const int64_t runs = key_runs_of(layout);  // backward
  bool offsets_fit = true;
};

Work work_of(const Call& c, double products) {
  const Layout layout(c);
  const double keys = layout.ragged_keys ? double(layout.key_tokens) / double(std::max<int64_t>(layout.batch, 1))
                                         : double(layout.key_slots);
  const double pairs = double(layout.query_tokens) * keys * double(layout.heads) * (c.flag(kCausal) ? 0.5 : 1);
  return Work{2 * products * pairs * double(layout.width)};
}

namespace forward {

void infer(Infer& c) {
  const Layout layout = check(c);
  const Shape result = result_shape(layout, c.shape(kQuery));
  c.output(0, c.in(kQuery).dtype, result);
  c.output(1, c.in(kQuery).dtype, result.without(-1));
  c.scratch(c.in(kQuery).dtype == DType::kFloat64 ? Scratch<double>(layout, false).bytes
                                                  : Scratch<float>(layout, false).bytes);
}

const Register op{{
    .name = "attention",
    .inputs = kInputs,
    .attributes = kAttributes,
    .outputs = {"result", "log_sum_exp?"},
    .infer = infer,
    .cpu =
        [](Call& c) {
          c.in(kQuery).dtype == DType::kFloat64 ? Attention<double>(c, false).forward()
                                                : Attention<float>(c, false).forward();
        },
    .work = [](const Call& c) { return work_of(c, 2); },
}};

}  // namespace forward

namespace backward {

void infer(Infer& c) {
  const Layout layout = check(c);
  const Shape& query = c.shape(kQuery);
  const Shape result = result_shape(layout, query);
  for (const int i : {kGrad, kResult, kLogSumExp}) c.require_same_dtype(kQuery, i);
  c.require_shape(kGrad, result, "the shape of the result");
  c.require_shape(kResult, result, "the queries with their heads");
  c.require_shape(kLogSumExp, result.without(-1), "one for each query and head");
  c.output(0, c.in(kQuery).dtype, query);
  if (layout.own_keys) {
    if (c.call.wants(1) || c.call.wants(2)) c.fail_usage("packed keys have no gradient apart from the queries'");
  } else {
    c.output(1, c.in(kQuery).dtype, c.shape(kKey));
    c.output(2, c.in(kQuery).dtype, c.shape(kValue));
  }
  c.scratch(c.in(kQuery).dtype == DType::kFloat64 ? Scratch<double>(layout, true).bytes
                                                  : Scratch<float>(layout, true).bytes);
}

std::vector<std::string> inputs() {
  std::vector<std::string> names = kInputs;
  for (const char* name : {"grad", "result", "log_sum_exp"}) names.push_back(name);
  return names;
}

const Register op{{
    .name = "attention_backward",
    .inputs = inputs(),
    .attributes = kAttributes,
    .outputs = {"query_grad?", "key_grad?", "value_grad?"},
    .infer = infer,
    .cpu =
        [](Call& c) {
          c.in(kQuery).dtype == DType::kFloat64 ? Attention<double>(c, true).backward()
                                                : Attention<float>(c, true).backward();
        },
    .work = [](const Call& c) { return work_of(c, 5); },
}};

}  // namespace backward

}  // namespace
}  // namespace userllm
