// Tensors laid one after another along a dimension.
#include "core/op.h"
#include "devices/cpu/strided.h"

namespace userllm {
namespace {

enum In { kParts };
enum Attribute { kAxis };

void infer(Infer& c) {
  const auto parts = c.list(kParts);
  if (parts.empty()) c.fail_usage("needs at least one tensor");
  c.require_rank_at_least(kParts, 1, "of rank 1 or more");
  const int axis = c.axis(kAxis, parts[0].shape.rank);
  int64_t length = 0;
  for (const TensorRef& part : parts) {
    if (part.dtype != parts[0].dtype)
      fail(c.call, ErrorKind::kDType, "parts are ", name_of(parts[0].dtype), " and ", name_of(part.dtype),
           "; they must be the same");
    if (part.shape.rank != parts[0].shape.rank || !(part.shape.with(axis, 0) == parts[0].shape.with(axis, 0)))
      c.fail("parts ", to_string(parts[0].shape), " and ", to_string(part.shape), " must agree in all dimensions but ",
             axis);
    length += part.shape[axis];
    if (length > kMaxElements) c.fail("the result is too long");
  }
  c.output(0, parts[0].dtype, parts[0].shape.with(axis, length));
}

void concat_cpu(Call& c) {
  const TensorRef& y = c.out(0);
  if (y.count() == 0) return;
  const int axis = int(c.integer(kAxis)) + (c.integer(kAxis) < 0 ? y.shape.rank : 0);
  const int64_t rows = y.shape.product(0, axis);
  const int64_t stride = int64_t(y.bytes()) / rows;
  char* to = y.as<char>();
  for (const TensorRef& part : c.list(kParts)) {
    const int64_t bytes = int64_t(part.bytes()) / rows;
    copy_rows(to, stride, part.data, bytes, rows, bytes);
    to += bytes;
  }
}

const Register op{{
    .name = "concat",
    .inputs = {"parts*"},
    .attributes = {"axis"},
    .outputs = {"result"},
    .infer = infer,
    .cpu = concat_cpu,
}};

}  // namespace
}  // namespace userllm
