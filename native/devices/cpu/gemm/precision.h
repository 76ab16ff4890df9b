// In which arithmetic an op multiplies x with a weight: as their dtype says, or in bfloat16.
//
// bfloat16 is either asked for (attribute `precision` 1: float32 operands are rounded while they are packed) or implied
// by a weight that is bfloat16. The result has the dtype of x. `shadow` is a bfloat16 copy of a float32 weight, which
// is read in its place.
#pragma once
#include "core/op.h"

namespace userllm {

inline bool multiplies_bf16(const Call& c, int weight, int64_t precision) {
  return precision == 1 || c.in(weight).dtype == DType::kBFloat16;
}

// In `infer`: checks the dtypes of x, weight and shadow (-1: the op has none), and returns multiplies_bf16.
inline bool require_precision(Infer& c, int x, int weight, int shadow, int attribute) {
  const bool asked = c.integer(attribute, 0, 1) == 1;
  const DType dtype = c.in(x).dtype, weight_dtype = c.in(weight).dtype;
  const auto refuse = [&](const char* rule) {
    fail(c.call, ErrorKind::kDType, c.name(x), " is ", name_of(dtype), " and ", c.name(weight), " is ",
         name_of(weight_dtype), rule);
  };
  c.require_dtype(x, {DType::kFloat32, DType::kFloat64, DType::kBFloat16});
  c.require_dtype(weight, {DType::kFloat32, DType::kFloat64, DType::kBFloat16});
  const bool bf16 = asked || weight_dtype == DType::kBFloat16;
  if (bf16 && (dtype == DType::kFloat64 || weight_dtype == DType::kFloat64))
    refuse("; bfloat16 arithmetic is for float32 and bfloat16");
  if (!bf16 && dtype != weight_dtype)
    refuse(dtype == DType::kBFloat16 ? "; a float32 weight needs precision \"bfloat16\"" : "; they must be the same");
  if (shadow >= 0 && c.in(shadow)) {
    if (!bf16 || weight_dtype != DType::kFloat32)
      fail(c.call, ErrorKind::kDType, c.name(shadow), " is for precision \"bfloat16\" and a float32 ", c.name(weight),
           ", which is ", name_of(weight_dtype));
    c.require_dtype(shadow, {DType::kBFloat16});
    c.require_same_shape(weight, shadow);
  }
  return bf16;
}

// The input that a product in bfloat16 reads its weight from.
inline int source_of(const Call& c, int weight, int shadow) { return c.in(shadow) ? shadow : weight; }

}  // namespace userllm
