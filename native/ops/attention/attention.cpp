// Attention of queries over keys: softmax(scale q k^T) v per head, and its gradients, without the matrix of scores.
//
// Layouts of queries and of keys are independent: dense, ragged with offsets, or, for keys, rows of a store. A call is
// brought down to sequences, those to heads, and every head goes the path that suits its lengths alone, so neither
// padding nor the other sequences of a batch change a result.
#include <algorithm>
#include <cmath>

#include "core/op.h"
#include "devices/cpu/offsets.h"
#include "devices/cpu/thread_pool.h"
#include "ops/attention/layout.h"
#include "ops/attention/paths.h"

namespace userllm::attention {
namespace {

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

  void find_sequences() {
    const auto* query_offsets = c.in(kQueryOffsets).as<const int32_t>();
    const auto* key_offsets = layout.own_keys ? query_offsets : c.in(kKeyOffsets).as<const int32_t>();
    const auto* lengths = c.in(kKeyLengths).as<const int32_t>();
    offsets_fit = !layout.ragged_queries || check_offsets(c, kQueryOffsets, layout.query_tokens, "tokens");
    if (layout.ragged_keys && !layout.own_keys)
      offsets_fit &= check_offsets(c, kKeyOffsets, layout.key_tokens, "tokens");
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
        Ahead ahead;
        head.ahead = &ahead;
        add_rows(ahead, head.result, head.result_stride, s.queries, of.heads * width);
        if (const int64_t next = next_unit(unit, end, grain); next < units) {
          const int64_t next_b = sequence_of(next);
          const Units next_of(*this, sequences[next_b]);
          const int64_t next_h = (next - sequences[next_b].first_unit) / next_of.blocks * next_of.heads;
          add_head(ahead, next_b, next_h, next_of.path, false);
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

  // The rows of a head, or of all that share its key head, that a unit of work on a short sequence starts with.
  void add_head(Ahead& ahead, int64_t b, int64_t query_head, const Path<T>& path, bool backward) const {
    const Sequence& s = sequences[b];
    if (path.splits_keys || layout.gathered || s.queries > kShort || s.keys > kShort) return;
    const AttentionHead<T> head = head_of(s, b, query_head / layout.group, query_head);
    const int64_t width = layout.width, queries_width = width * (path.takes_group ? layout.group : 1);
    add_rows(ahead, head.query, head.query_stride, s.queries, queries_width);
    add_rows(ahead, head.key, head.key_stride, s.keys, width);
    add_rows(ahead, head.value, head.value_stride, s.keys, width);
    if (backward)
      add_rows(ahead, c.in(kGrad).as<const T>() + (s.first_query * layout.heads + query_head) * width,
               head.result_stride, s.queries, queries_width);
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
          for (int64_t b = 0; b < layout.batch; ++b) backward_of(b, unit, 0, task_scratch, -1);
          continue;
        }
        const int64_t next = next_unit(unit, end, grain);
        backward_of(unit / runs / layout.kv_heads, unit / runs % layout.kv_heads, unit % runs, task_scratch,
                    next < units ? next / runs : -1);
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

  // The gradients of a run of a key head, and of its query heads. `next`: which (sequence, key head) probably follows.
  void backward_of(int64_t b, int64_t kv_head, int64_t run, T* task_scratch, int64_t next) {
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
    Ahead ahead;
    head.ahead = &ahead;
    add_rows(ahead, head.value_grad, head.value_grad_stride, s.keys, width);
    add_rows(ahead, head.key_grad, head.key_grad_stride, s.keys, width);
    add_rows(ahead, head.query_grad, head.query_grad_stride, s.queries, group * width);
    if (next >= 0) {
      const int64_t next_b = next / kv_heads;
      add_head(ahead, next_b, next % kv_heads * group, path_of_sequence(sequences[next_b]), true);
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

// Of one head: how many keys its queries see together. Padding and what the rules hide are not counted; a call whose
// offsets or lengths do not fit has none.
double visible_pairs(const Call& c, const Layout& layout) {
  const auto* query_offsets = c.in(kQueryOffsets).as<const int32_t>();
  const auto* key_offsets = layout.own_keys ? query_offsets : c.in(kKeyOffsets).as<const int32_t>();
  const auto* lengths = c.in(kKeyLengths).as<const int32_t>();
  AttentionRules<double> rules = {};
  rules.causal = c.flag(kCausal);
  rules.window = c.integer(kWindow);
  double pairs = 0;
  for (int64_t b = 0; b < layout.batch; ++b) {
    int64_t queries = layout.query_slots, keys = layout.key_slots;
    if (layout.ragged_queries) queries = int64_t(query_offsets[b + 1]) - query_offsets[b];
    if (layout.ragged_keys) keys = int64_t(key_offsets[b + 1]) - key_offsets[b];
    if (lengths) keys = std::clamp<int64_t>(lengths[b], 0, std::max<int64_t>(keys, 0));
    if (lengths && layout.own_keys) queries = keys;
    if (queries < 0 || queries > layout.query_tokens || keys < 0) return 0;
    if (!rules.causal && !rules.window) {
      pairs += double(queries) * double(keys);
      continue;
    }
    for (int64_t i = 0; i < queries; ++i) {
      const int64_t position = keys - queries + i;
      pairs += double(std::max<int64_t>(end_visible(rules, position, keys) - first_visible(rules, position), 0));
    }
  }
  return pairs;
}

// `products`: of a query and a key, or of what has their place in the backward pass.
Work work_of(const Call& c, double products) {
  const Layout layout(c);
  return Work{2 * products * visible_pairs(c, layout) * double(layout.heads * layout.width)};
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
}  // namespace userllm::attention
