// Writes new keys and values of sequences behind those that a cache holds, in place, and adds to their lengths:
//
//     keys[b, lengths[b] + i] = rotated(key[b, i], lengths[b] + i)      values likewise, not rotated
//
// for i < counts[b]. A sequence that does not fit stays as it was, and is a fault.
#include <algorithm>

#include "core/op.h"
#include "devices/cpu/offsets.h"
#include "devices/cpu/tensor_list.h"
#include "devices/cpu/thread_pool.h"
#include "ops/cache_append/cache_append.simd.h"

namespace userllm {
namespace {

enum In { kKeys, kValues, kLengths, kKey, kValue, kCounts, kOffsets, kRotary };
enum Attribute { kPacked, kHeads, kRotaryStyle };

void infer(Infer& c) {
  c.require_float(kKeys);
  for (const int i : {kValues, kKey, kValue, kRotary}) c.require_same_dtype(kKeys, i);
  for (const int i : {kLengths, kCounts, kOffsets}) c.require_dtype(i, {DType::kInt32});
  c.require_rank(kKeys, 4, "[batch, capacity, kvHeads, headWidth]");
  c.require_same_shape(kKeys, kValues);
  const Shape& keys = c.shape(kKeys);
  const int64_t batch = keys[0];
  if (keys[1] > INT32_MAX) c.fail(c.show(kKeys), " has too large a capacity for int32 lengths");
  for (const int i : {kLengths, kCounts}) c.require_shape(i, {batch}, "one for each sequence");
  c.require_shape(kOffsets, {batch + 1}, "one more than there are sequences");

  const bool packed = c.flag(kPacked), ragged = bool(c.in(kOffsets));
  if (packed == bool(c.in(kValue))) c.fail_usage(packed ? "packed keys come with their values" : "key needs a value");
  if (ragged && c.in(kCounts)) c.fail_usage("ragged keys have no counts: the offsets say them");
  const int64_t heads = packed ? c.integer(kHeads, 0, INT32_MAX) + 2 * keys[2] : keys[2];
  for (const int i : {kKey, kValue}) {
    if (!c.in(i)) continue;
    c.require_rank(i, ragged ? 3 : 4, ragged ? "[tokens, heads, headWidth]" : "[batch, new, heads, headWidth]");
    const Shape& x = c.shape(i);
    if (!ragged && x[0] != batch) c.fail(c.show(i), " must have the batch of ", c.show(kKeys), ", ", batch);
    if (x[-2] != heads)
      c.fail(c.show(i), " must have ", heads, packed ? " query, key and value heads" : " heads", " for ",
             c.show(kKeys));
    if (x[-1] != keys[3]) c.fail(c.show(i), " and ", c.show(kKeys), " must have the same head width");
    if (x[ragged ? 0 : 1] > INT32_MAX) c.fail(c.show(i), " has too many tokens for int32 lengths");
  }
  c.require_same_shape(kKey, kValue);

  if (bool(c.in(kRotary)) != (c.integer(kRotaryStyle, 0, 2) != 0))
    c.fail_usage("a rotary table needs a style, and a style a table");
  c.require_rank(kRotary, 3, "[positions, rotaryWidth / 2, 2]");
  if (c.in(kRotary)) {
    const Shape& table = c.shape(kRotary);
    if (table[2] != 2) c.fail(c.show(kRotary), " must be [positions, rotaryWidth / 2, 2]");
    if (2 * table[1] > keys[3])
      c.fail(c.show(kRotary), " turns ", 2 * table[1], " elements of heads that are ", keys[3], " wide");
  }
  require_no_shared_memory(c, {kKeys, kValues, kLengths}, {kKey, kValue, kCounts, kOffsets, kRotary});
  c.scratch(size_t(batch + 1) * sizeof(int64_t));
}

// The tokens that a sequence gets: their number, and the first of them in `key`.
struct Tokens {
  int64_t first, count;
};

Tokens tokens_of(const Call& c, int64_t b) {
  if (c.in(kOffsets)) {
    const auto* offsets = c.in(kOffsets).as<const int32_t>();
    return {offsets[b], offsets[b + 1] - offsets[b]};
  }
  const int64_t slots = c.in(kKey).shape[1];
  return {b * slots, c.in(kCounts) ? c.in(kCounts).as<const int32_t>()[b] : slots};
}

bool fits(Call& c, int64_t b) {
  const int64_t capacity = c.in(kKeys).shape[1], length = c.in(kLengths).as<const int32_t>()[b];
  const int64_t count = tokens_of(c, b).count;
  if (length < 0 || length > capacity) {
    c.index_fault(kLengths, b, length, capacity + 1);
    return false;
  }
  if (c.in(kCounts) && (count < 0 || count > c.in(kKey).shape[1])) {
    c.index_fault(kCounts, b, count, c.in(kKey).shape[1] + 1);
    return false;
  }
  const bool rotates = c.in(kRotary) && count > 0;
  const int64_t limit = rotates ? std::min(capacity, c.in(kRotary).shape[0]) : capacity;
  if (length + count <= limit) return true;
  c.fault(concat("sequence ", b, " holds ", length, " tokens and gets ", count, ", but there is room for ", capacity,
                 rotates ? concat(" and the rotary table has ", c.in(kRotary).shape[0], " positions") : ""));
  return false;
}

template <class T, class TurnHeads> void append(Call& c, const TurnHeads& turn_heads) {
  const Shape& keys = c.in(kKeys).shape;
  const int64_t batch = keys[0], capacity = keys[1], width = keys[3], row = keys[2] * width;
  const bool packed = c.flag(kPacked);
  const int64_t query = packed ? c.integer(kHeads) * width : 0, stride = packed ? query + 2 * row : row;
  const T* key = c.in(kKey).as<const T>() + query;
  const T* value = packed ? key + row : c.in(kValue).as<const T>();
  const T* rotary = c.in(kRotary).as<const T>();
  const auto style = RotaryStyle(c.integer(kRotaryStyle));
  const int64_t pairs = rotary ? c.in(kRotary).shape[1] : 0;
  int32_t* const lengths = c.in(kLengths).as<int32_t>();
  int64_t* const starts = c.scratch<int64_t>();  // of the sequences, counting the tokens that are written

  if (c.in(kOffsets) && !check_offsets(c, kOffsets, c.in(kKey).shape[0], "tokens")) return;
  starts[0] = 0;
  for (int64_t b = 0; b < batch; ++b) starts[b + 1] = starts[b] + (fits(c, b) ? tokens_of(c, b).count : 0);

  parallel_ranges(row ? starts[batch] : 0, 8192 / (row + 1) + 1, [&](int64_t begin, int64_t end) {
    int64_t b = std::upper_bound(starts, starts + batch + 1, begin) - starts - 1;
    for (int64_t t = begin; t < end; ++t) {
      while (t >= starts[b + 1]) ++b;
      const int64_t from = (tokens_of(c, b).first + t - starts[b]) * stride, position = lengths[b] + t - starts[b];
      const int64_t to = (b * capacity + position) * row;
      const T* turn = rotary ? rotary + position * 2 * pairs : nullptr;
      turn_heads(style, turn, pairs, keys[2], width, key + from, c.in(kKeys).as<T>() + to);
      std::copy_n(value + from, row, c.in(kValues).as<T>() + to);
    }
  });
  for (int64_t b = 0; b < batch; ++b) lengths[b] += int32_t(starts[b + 1] - starts[b]);
}

void cpu(Call& c) {
  if (c.in(kKeys).dtype == DType::kFloat64)
    append<double>(c, SIMD_CALL(turn_heads_f64));
  else
    append<float>(c, SIMD_CALL(turn_heads_f32));
}

const Register op{{
    .name = "cache_append",
    .inputs = {"keys", "values", "lengths", "key", "value?", "counts?", "offsets?", "rotary?"},
    .attributes = {"packed", "heads", "rotary_style"},
    .infer = infer,
    .cpu = cpu,
    .work =
        [](const Call& c) {
          const Shape& keys = c.in(kKeys).shape;
          const double tokens = double(c.in(kKey).shape.product(0, c.in(kKey).shape.rank - 2));
          const double elements = 2 * tokens * double(keys[2] * keys[3]);
          return Work{1.5 * elements, 2 * elements * double(size_of(c.in(kKeys).dtype))};
        },
    .mutates = {kKeys, kValues, kLengths},
}};

}  // namespace
}  // namespace userllm
