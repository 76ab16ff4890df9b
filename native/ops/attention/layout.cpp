#include "ops/attention/layout.h"

namespace userllm::attention {
namespace {

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

}  // namespace

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

}  // namespace userllm::attention
