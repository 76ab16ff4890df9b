// The sum over the dimensions along which `shape` was broadcast to the shape of x: the gradient of broadcasting.
#include <algorithm>

#include "core/op.h"
#include "devices/cpu/thread_pool.h"
#include "ops/sum_to/sum_to.simd.h"

namespace userllm {
namespace {

enum Attribute { kShape };

// One neighbouring group of dimensions is summed at a time: [outer, summed, inner] -> [outer, inner].
struct Pass {
  int64_t outer, summed, inner;
};

// The passes from x to `shape`, innermost group first.
struct Passes {
  Pass passes[kMaxRank];
  int count = 0;

  Passes(const Shape& x, const Shape& shape) {
    const auto is_summed = [&](int d) { return d > shape.rank || (shape[-d] == 1 && x[-d] != 1); };
    int64_t outer = x.count(), inner = 1;
    for (int d = 1; d <= x.rank;) {
      int64_t size = 1;
      const bool summed = is_summed(d);
      for (; d <= x.rank && is_summed(d) == summed; ++d) size *= x[-d];
      outer = size ? outer / size : 0;
      if (!summed)
        inner *= size;
      else if (size != 1)
        passes[count++] = {outer, size, inner};
    }
  }
};

// A pass is cut into tasks of so many columns and rows; the sums of the tasks are summed by a further pass, which also
// keeps float32 sums accurate. The cut depends on the shape alone.
constexpr int64_t kColumns = 1024, kGrain = 1 << 15;

int64_t rows_of_task(const Pass& p) {
  return p.inner == 1 ? kGrain : std::clamp<int64_t>(kGrain / std::max<int64_t>(p.inner, 1), 64, 1024);
}
int64_t parts_of(const Pass& p) { return (p.summed + rows_of_task(p) - 1) / rows_of_task(p); }

// Elements of scratch that a pass needs for the sums of its tasks.
int64_t partial_sums(const Pass& p) {
  const int64_t parts = parts_of(p);
  if (parts <= 1) return 0;
  return p.outer * parts * p.inner + partial_sums({p.outer, parts, p.inner});
}

template <class T> void sum_rows(const T* x, T* to, int64_t rows, int64_t width) {
  if constexpr (sizeof(T) == 8)
    SIMD_CALL(sum_rows_f64)(x, to, rows, width);
  else
    SIMD_CALL(sum_rows_f32)(x, to, rows, width);
}
template <class T> void sum_columns(const T* x, T* to, int64_t rows, int64_t width, int64_t stride) {
  if constexpr (sizeof(T) == 8)
    SIMD_CALL(sum_columns_f64)(x, to, rows, width, stride);
  else
    SIMD_CALL(sum_columns_f32)(x, to, rows, width, stride);
}

template <class T> void run(const Pass& p, const T* x, T* to, T* scratch) {
  const int64_t parts = parts_of(p), rows = rows_of_task(p);
  if (parts <= 1 && p.inner == 1) {
    parallel_ranges(p.outer, kGrain / (p.summed + 1) + 1, [&](int64_t begin, int64_t end) {
      sum_rows(x + begin * p.summed, to + begin, end - begin, p.summed);
    });
    return;
  }
  T* sums = parts <= 1 ? to : scratch;
  const int64_t blocks = (p.inner + kColumns - 1) / kColumns;
  parallel_for(p.outer * std::max(parts, int64_t(1)) * blocks, [&](int64_t task) {
    const int64_t column = task % blocks * kColumns, width = std::min(kColumns, p.inner - column);
    const int64_t line = task / blocks, outer = line / std::max(parts, int64_t(1));
    const int64_t first = line % std::max(parts, int64_t(1)) * rows, count = std::min(rows, p.summed - first);
    const T* from = x + (outer * p.summed + first) * p.inner + column;
    if (p.inner == 1)
      sum_rows(from, sums + line, 1, count);
    else
      sum_columns(from, sums + line * p.inner + column, count, width, p.inner);
  });
  if (parts > 1) run<T>({p.outer, parts, p.inner}, sums, to, scratch + p.outer * parts * p.inner);
}

// Elements between the passes, one block after the other.
int64_t intermediate(const Passes& all, int i) {
  return i + 1 < all.count ? all.passes[i].outer * all.passes[i].inner : 0;
}

void infer(Infer& c) {
  c.require_float(0);
  const Shape shape = c.sizes(kShape), &x = c.shape(0);
  bool fits = shape.rank <= x.rank;
  for (int d = 1; fits && d <= shape.rank; ++d) fits = shape[-d] == x[-d] || shape[-d] == 1;
  if (!fits) c.fail(c.show(0), " cannot be summed to ", to_string(shape));
  const Passes all(x, shape);
  int64_t elements = 0, most = 0;
  for (int i = 0; i < all.count; ++i) {
    elements += intermediate(all, i);
    most = std::max(most, partial_sums(all.passes[i]));
  }
  c.scratch(size_t(elements + most) * size_of(c.in(0).dtype));
  c.output(0, c.in(0).dtype, shape);
}

template <class T> void sum_to(Call& c) {
  const TensorRef &x = c.in(0), &out = c.out(0);
  T* to = out.as<T>();
  if (x.count() == 0) {
    std::fill(to, to + out.count(), T(0));
    return;
  }
  const Passes all(x.shape, out.shape);
  if (all.count == 0) {
    std::copy(x.as<T>(), x.as<T>() + x.count(), to);
    return;
  }
  T* scratch = c.scratch<T>();
  const T* from = x.as<T>();
  for (int i = 0; i < all.count; ++i) {
    T* sums = i + 1 < all.count ? scratch : to;
    scratch += intermediate(all, i);
    run<T>(all.passes[i], from, sums, scratch);
    from = sums;
  }
}

void cpu(Call& c) {
  if (c.out(0).dtype == DType::kFloat64)
    sum_to<double>(c);
  else
    sum_to<float>(c);
}

const Register op{{
    .name = "sum_to",
    .inputs = {"x"},
    .attributes = {"shape*"},
    .outputs = {"result"},
    .infer = infer,
    .cpu = cpu,
    .work = [](const Call& c) { return Work{double(c.in(0).count())}; },
}};

}  // namespace
}  // namespace userllm
