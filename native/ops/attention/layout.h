// A call of attention: what its inputs are, and how they lie.
#pragma once
#include <string>
#include <vector>

#include "core/op.h"
#include "ops/attention/attention.simd.h"

namespace userllm::attention {

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
inline const std::vector<std::string> kInputs = {"query",        "key?",  "value?",  "query_offsets?", "key_offsets?",
                                                 "key_lengths?", "rows?", "rotary?", "state?"};
inline const std::vector<std::string> kAttributes = {"heads",        "kv_heads", "packed", "causal",
                                                     "window",       "soft_cap", "scale",  "rotary_style",
                                                     "rotates_keys", "dropout",  "call"};

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

// The checks that forward and backward share.
Layout check(Infer& c);

inline Shape result_shape(const Layout& layout, const Shape& query) { return query.with(query.rank - 2, layout.heads); }

}  // namespace userllm::attention
