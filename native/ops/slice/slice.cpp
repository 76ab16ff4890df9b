// A range of one dimension, and its opposite: zeros around a tensor.
#include "core/op.h"
#include "devices/cpu/strided.h"

namespace userllm {
namespace {

enum In { kX };

// A tensor as rows: everything from dimension `axis` on is one row.
struct Rows {
  Rows(const TensorRef& t, int64_t attribute)
      : axis(int(attribute < 0 ? attribute + t.shape.rank : attribute)),
        rows(t.shape.product(0, axis)),
        unit(t.shape.product(axis + 1, t.shape.rank) * int64_t(size_of(t.dtype))),
        stride(t.shape[axis] * unit) {}
  int axis;
  int64_t rows, unit, stride;
};

namespace slice {
enum Attribute { kAxis, kBegin, kEnd };

void infer(Infer& c) {
  c.require_rank_at_least(kX, 1, "of rank 1 or more");
  const int axis = c.axis(kAxis, c.shape(kX).rank);
  const int64_t begin = c.integer(kBegin, 0, kMaxElements), end = c.integer(kEnd, 0, kMaxElements);
  if (begin > end || end > c.shape(kX)[axis])
    c.fail("[", begin, ", ", end, ") is not a range of dimension ", axis, " of ", c.show(kX));
  c.output(0, c.in(kX).dtype, c.shape(kX).with(axis, end - begin));
}

void cpu(Call& c) {
  const TensorRef &x = c.in(kX), &y = c.out(0);
  if (y.count() == 0) return;
  const Rows from(x, c.integer(kAxis)), to(y, c.integer(kAxis));
  copy_rows(y.data, to.stride, x.as<char>() + c.integer(kBegin) * from.unit, from.stride, to.rows, to.stride);
}

const Register op{{
    .name = "slice",
    .inputs = {"x"},
    .attributes = {"axis", "begin", "end"},
    .outputs = {"result"},
    .infer = infer,
    .cpu = cpu,
    .work =
        [](const Call& c) {
          return Work{0, 2.0 * double(c.out(0).bytes())};
        },
}};
}  // namespace slice

namespace pad {
enum Attribute { kAxis, kBefore, kAfter };

void infer(Infer& c) {
  c.require_rank_at_least(kX, 1, "of rank 1 or more");
  const int axis = c.axis(kAxis, c.shape(kX).rank);
  const int64_t before = c.integer(kBefore, 0, kMaxElements), after = c.integer(kAfter, 0, kMaxElements);
  const int64_t length = before + c.shape(kX)[axis] + after;
  if (length > kMaxElements) c.fail("the result is too long");
  c.output(0, c.in(kX).dtype, c.shape(kX).with(axis, length));
}

void cpu(Call& c) {
  const TensorRef &x = c.in(kX), &y = c.out(0);
  if (y.count() == 0) return;
  const Rows from(x, c.integer(kAxis)), to(y, c.integer(kAxis));
  const int64_t before = c.integer(kBefore) * to.unit, after = c.integer(kAfter) * to.unit;
  zero_rows(y.data, to.stride, to.rows, before);
  copy_rows(y.as<char>() + before, to.stride, x.data, from.stride, to.rows, from.stride);
  zero_rows(y.as<char>() + before + from.stride, to.stride, to.rows, after);
}

const Register op{{
    .name = "pad",
    .inputs = {"x"},
    .attributes = {"axis", "before", "after"},
    .outputs = {"result"},
    .infer = infer,
    .cpu = cpu,
}};
}  // namespace pad

}  // namespace
}  // namespace userllm
