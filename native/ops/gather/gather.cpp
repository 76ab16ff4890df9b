// result[i, j, k] = x[i, index[i, j, k], k] for axis 1, and its gradient. Dimensions other than `axis` may be smaller
// in the index than in x, as in PyTorch.
#include "core/op.h"
#include "devices/cpu/strided.h"

namespace userllm {
namespace {

void check_index(Infer& c, int index, const Shape& x, int axis) {
  c.require_dtype(index, {DType::kInt32});
  bool fits = c.shape(index).rank == x.rank;
  for (int d = 0; fits && d < x.rank; ++d) fits = d == axis || c.shape(index)[d] <= x[d];
  if (!fits)
    c.fail(c.show(index), " must have the rank of x ", to_string(x), " and be no larger in any dimension but ", axis);
}

// The index as lines along the axis: `outer` x `inner` of them, of `length` entries that are `inner` apart. The walks
// go over the dimensions before and after the axis with the strides of x, whose entries along it are `step` apart.
struct Lines {
  Lines(const Shape& x, const Shape& index, int64_t attribute) {
    const int axis = int(attribute < 0 ? attribute + x.rank : attribute);
    length = index[axis];
    limit = x[axis];
    step = x.product(axis + 1, x.rank);
    for (int d = 0; d < x.rank; ++d)
      if (d != axis) (d < axis ? before : after).push(index[d], x.product(d + 1, x.rank));
    inner = after.count();
    count = before.count() * inner;
  }

  // Calls body(position in the index, offset in x of the line's first entry) for every entry. A line stays within one
  // task, and its entries come in order.
  template <class Body> void each(const Body& body) const {
    parallel_ranges(count, (16 << 10) / (length + 1) + 1, [&](int64_t begin, int64_t end) {
      Walk outer = before;
      outer.seek(begin / inner);
      for (int64_t line = begin; line < end; outer.next()) {
        const int64_t first = line % inner, next = line - first + inner;
        const int64_t lines = (next < end ? next : end) - line;
        for (int64_t k = 0; k < length; ++k) {
          Walk column = after;
          column.seek(first);
          const int64_t position = (line / inner * length + k) * inner + first;
          for (int64_t i = 0; i < lines; ++i, column.next()) body(position + i, outer.offset + column.offset);
        }
        line += lines;
      }
    });
  }

  Walk before, after;
  int64_t length, limit, step, inner, count;
};

namespace gather {
enum In { kX, kIndex };
enum Attribute { kAxis };

void infer(Infer& c) {
  c.require_rank_at_least(kX, 1, "of rank 1 or more");
  check_index(c, kIndex, c.shape(kX), c.axis(kAxis, c.shape(kX).rank));
  c.output(0, c.in(kX).dtype, c.shape(kIndex));
}

template <class E> void gather(Call& c) {
  const E* x = c.in(kX).as<const E>();
  const auto* index = c.in(kIndex).as<const int32_t>();
  E* y = c.out(0).as<E>();
  const Lines lines(c.in(kX).shape, c.in(kIndex).shape, c.integer(kAxis));
  lines.each([&](int64_t position, int64_t offset) {
    const int64_t at = index[position];
    const bool valid = at >= 0 && at < lines.limit;
    if (!valid) c.index_fault(kIndex, position, at, lines.limit);
    y[position] = valid ? x[offset + at * lines.step] : E{};
  });
}

void cpu(Call& c) {
  if (c.out(0).count() == 0) return;
  switch (size_of(c.in(kX).dtype)) {
    case 1: return gather<uint8_t>(c);
    case 2: return gather<uint16_t>(c);
    case 4: return gather<uint32_t>(c);
    case 8: return gather<uint64_t>(c);
  }
}

const Register op{{
    .name = "gather",
    .inputs = {"x", "index"},
    .attributes = {"axis"},
    .outputs = {"result"},
    .infer = infer,
    .cpu = cpu,
    .work =
        [](const Call& c) {
          return Work{0, double(c.in(kIndex).bytes()) + 2.0 * double(c.out(0).bytes())};
        },
}};
}  // namespace gather

namespace gather_backward {
enum In { kGrad, kIndex };
enum Attribute { kAxis, kShape };

void infer(Infer& c) {
  c.require_float(kGrad);
  c.require_rank_at_least(kGrad, 1, "of rank 1 or more");
  c.require_same_shape(kGrad, kIndex);
  const Shape x = c.sizes(kShape);
  check_index(c, kIndex, x, c.axis(kAxis, x.rank));
  c.output(0, c.in(kGrad).dtype, x);
}

template <class T> void scatter(Call& c) {
  const T* grad = c.in(kGrad).as<const T>();
  const auto* index = c.in(kIndex).as<const int32_t>();
  T* dx = c.out(0).as<T>();
  const Lines lines(c.out(0).shape, c.in(kIndex).shape, c.integer(kAxis));
  lines.each([&](int64_t position, int64_t offset) {
    const int64_t at = index[position];
    if (at >= 0 && at < lines.limit)
      dx[offset + at * lines.step] += grad[position];
    else
      c.index_fault(kIndex, position, at, lines.limit);
  });
}

void cpu(Call& c) {
  const TensorRef& dx = c.out(0);
  zero_rows(dx.data, int64_t(dx.bytes()), 1, int64_t(dx.bytes()));
  if (c.in(kGrad).count() == 0) return;
  if (dx.dtype == DType::kFloat64)
    scatter<double>(c);
  else
    scatter<float>(c);
}

const Register op{{
    .name = "gather_backward",
    .inputs = {"grad", "index"},
    .attributes = {"axis", "shape*"},
    .outputs = {"x_grad"},
    .infer = infer,
    .cpu = cpu,
    .work = [](const Call& c) { return Work{double(c.in(kGrad).count())}; },
}};
}  // namespace gather_backward

}  // namespace
}  // namespace userllm
