// Sum, mean, maximum and minimum over any set of dimensions.
//
// Neighbouring dimensions that are all reduced or all kept are one group. Each reduced group is one pass over
// [outer, n, inner]: rows where inner is 1, columns otherwise. Long rows and tall columns are cut into chunks of a
// fixed size, whose results are joined in order and in double: the result does not depend on the number of threads,
// and the float32 error of a sum grows with the square root of a few hundred terms, not of all.
#include <cmath>
#include <limits>

#include "core/op.h"
#include "devices/cpu/strided.h"
#include "ops/reduce/reduce.simd.h"

namespace userllm {
namespace {

enum In { kX };
enum Attribute { kAxes, kKeepDims };

constexpr int64_t kRowChunk = 32 << 10;
constexpr int64_t kTallestChunk = 512;
constexpr int64_t kStrip = 2048;

int64_t pieces(int64_t count, int64_t size) { return (count + size - 1) / size; }

// Bit d: dimension d is reduced.
unsigned axis_mask(const Call& c, int rank) {
  unsigned mask = 0;
  for (const double axis : c.numbers(kAxes)) mask |= 1u << (int(axis) + (axis < 0 ? rank : 0));
  return mask;
}

// One pass: [outer, n, inner] to [outer, inner].
struct Pass {
  int64_t outer, n, inner;

  int64_t strip() const { return inner < kStrip ? inner : kStrip; }
  // Rows or columns are cut after so many elements: so that there are enough tasks, by the data alone.
  int64_t chunk() const {
    if (inner == 1) return kRowChunk;
    if (outer * pieces(inner, kStrip) >= 32) return kTallestChunk;
    const int64_t tall = kRowChunk / strip();
    return tall < 16 ? 16 : tall > kTallestChunk ? kTallestChunk : tall;
  }
  int64_t chunks() const { return pieces(n, chunk()); }
  // Of the results of the chunks: doubles for rows, the dtype for columns.
  size_t scratch(size_t size) const {
    if (chunks() <= 1) return 0;
    return size_t(outer * chunks() * inner) * (inner == 1 ? sizeof(double) : size);
  }
};

struct Plan {
  Plan(const Shape& x, unsigned mask) {
    Shape groups;
    unsigned reduced = 0;
    for (int d = 0; d < x.rank; ++d) {
      const unsigned bit = mask >> d & 1;
      if (x[d] == 1) continue;
      if (groups.rank > 0 && (reduced >> (groups.rank - 1) & 1) == bit) {
        groups[-1] *= x[d];
      } else {
        reduced |= bit << groups.rank;
        groups.push(x[d]);
      }
    }
    int64_t inner = 1;
    for (int g = groups.rank - 1; g >= 0; --g) {
      if (reduced >> g & 1)
        passes[count++] = {groups.product(0, g), groups[g], inner};
      else
        inner *= groups[g];
    }
    if (count == 0) passes[count++] = {x.count(), 1, 1};
  }

  // Partial results of a pass, then the results of all passes but the last.
  size_t partial_bytes(size_t size) const {
    size_t most = 0;
    for (int i = 0; i < count; ++i) most = std::max(most, passes[i].scratch(size));
    return (most + 63) & ~size_t(63);
  }
  size_t scratch(size_t size) const {
    size_t bytes = partial_bytes(size);
    for (int i = 0; i + 1 < count; ++i) bytes += size_t(passes[i].outer * passes[i].inner) * size;
    return bytes;
  }

  int count = 0;
  Pass passes[kMaxRank];
};

Shape reduced_shape(Infer& c) {
  const Shape& x = c.shape(kX);
  const bool keep = c.flag(kKeepDims);
  unsigned mask = 0;
  for (const int64_t axis : c.integers(kAxes, -kMaxRank, kMaxRank - 1)) {
    const int64_t d = axis < 0 ? axis + x.rank : axis;
    if (d < 0 || d >= x.rank) c.fail("axis ", axis, " is not a dimension of ", c.show(kX));
    if (mask >> d & 1) c.fail("axis ", axis, " names a dimension of ", c.show(kX), " twice");
    mask |= 1u << d;
  }
  Shape shape;
  for (int d = 0; d < x.rank; ++d) {
    if (!(mask >> d & 1))
      shape.push(x[d]);
    else if (keep)
      shape.push(1);
  }
  return shape;
}

void declare(Infer& c) {
  const TensorRef& x = c.in(kX);
  c.output(0, x.dtype, reduced_shape(c));
  if (x.count() > 0 && is_float(x.dtype))
    c.scratch(Plan(x.shape, axis_mask(c.call, x.shape.rank)).scratch(size_of(x.dtype)));
}

void infer_sum(Infer& c) {
  c.require_dtype(kX, {DType::kFloat32, DType::kFloat64, DType::kInt32});
  declare(c);
}

void infer_mean(Infer& c) {
  c.require_float(kX);
  declare(c);
}

void infer_extreme(Infer& c) {
  c.require_float(kX);
  const Shape& x = c.shape(kX);
  const Shape result = reduced_shape(c);
  if (x.count() == 0 && result.count() > 0) c.fail(c.show(kX), " has no elements to choose from");
  declare(c);
}

template <class T> double join(Fold fold, double a, T b) {
  if (fold == Fold::kSum) return a + double(b);
  if (std::isnan(a) || std::isnan(b)) return std::numeric_limits<double>::quiet_NaN();
  return (fold == Fold::kMax) == (double(b) > a) ? double(b) : a;
}

struct F32 {
  using T = float;
  static double row(Fold fold, const T* x, int64_t n) { return SIMD_CALL(fold_f32)(fold, x, n); }
  static void rows(Fold fold, const T* x, T* y, int64_t rows, int64_t width, double divisor) {
    SIMD_CALL(fold_rows_f32)(fold, x, y, rows, width, divisor);
  }
  static void columns(Fold fold, const T* x, T* y, int64_t rows, int64_t stride, int64_t width) {
    SIMD_CALL(fold_columns_f32)(fold, x, y, rows, stride, width);
  }
};
struct F64 {
  using T = double;
  static double row(Fold fold, const T* x, int64_t n) { return SIMD_CALL(fold_f64)(fold, x, n); }
  static void rows(Fold fold, const T* x, T* y, int64_t rows, int64_t width, double divisor) {
    SIMD_CALL(fold_rows_f64)(fold, x, y, rows, width, divisor);
  }
  static void columns(Fold fold, const T* x, T* y, int64_t rows, int64_t stride, int64_t width) {
    SIMD_CALL(fold_columns_f64)(fold, x, y, rows, stride, width);
  }
};

template <class Kernels, class T = typename Kernels::T>
void fold_rows(Fold fold, const Pass& p, const T* x, T* y, double* partial, double divisor) {
  const int64_t chunks = p.chunks();
  if (chunks == 1)
    return parallel_ranges(p.outer, kRowChunk / p.n, [&](int64_t begin, int64_t end) {
      Kernels::rows(fold, x + begin * p.n, y + begin, end - begin, p.n, divisor);
    });
  parallel_for(p.outer * chunks, [&](int64_t task) {
    const int64_t begin = task % chunks * kRowChunk;
    const int64_t length = p.n - begin < kRowChunk ? p.n - begin : kRowChunk;
    partial[task] = Kernels::row(fold, x + task / chunks * p.n + begin, length);
  });
  for (int64_t r = 0; r < p.outer; ++r) {
    double total = partial[r * chunks];
    for (int64_t i = 1; i < chunks; ++i) total = join(fold, total, partial[r * chunks + i]);
    y[r] = T(total / divisor);
  }
}

template <class Kernels, class T = typename Kernels::T>
void fold_columns(Fold fold, const Pass& p, const T* x, T* y, T* scratch, double divisor) {
  const int64_t chunk = p.chunk(), chunks = p.chunks(), strips = pieces(p.inner, kStrip);
  T* const partial = chunks == 1 ? y : scratch;
  // Small results share a task.
  const int64_t grain = kRowChunk / ((p.n < chunk ? p.n : chunk) * p.strip()) + 1;
  parallel_ranges(p.outer * chunks * strips, grain, [&](int64_t begin, int64_t end) {
    for (int64_t task = begin; task < end; ++task) {
      const int64_t j = task % strips * kStrip, r = task / strips % chunks * chunk, o = task / strips / chunks;
      Kernels::columns(fold, x + (o * p.n + r) * p.inner + j, partial + task / strips * p.inner + j,
                       p.n - r < chunk ? p.n - r : chunk, p.inner, p.inner - j < kStrip ? p.inner - j : kStrip);
    }
  });
  if (chunks == 1 && divisor == 1) return;
  constexpr int64_t kColumns = 256;
  const int64_t blocks = pieces(p.inner, kColumns);
  parallel_ranges(p.outer * blocks, kRowChunk / (chunks * kColumns) + 1, [&](int64_t begin, int64_t end) {
    for (int64_t task = begin; task < end; ++task) {
      const int64_t j = task % blocks * kColumns, o = task / blocks;
      const int64_t width = p.inner - j < kColumns ? p.inner - j : kColumns;
      const T* from = partial + o * chunks * p.inner + j;
      double total[kColumns];
      for (int64_t i = 0; i < width; ++i) total[i] = double(from[i]);
      for (int64_t k = 1; k < chunks; ++k)
        for (int64_t i = 0; i < width; ++i) total[i] = join(fold, total[i], from[k * p.inner + i]);
      for (int64_t i = 0; i < width; ++i) y[o * p.inner + j + i] = T(total[i] / divisor);
    }
  });
}

template <class Kernels, class T = typename Kernels::T> void reduce(Call& c, Fold fold, bool mean) {
  const TensorRef &x = c.in(kX), &y = c.out(0);
  if (y.count() == 0) return;
  if (x.count() == 0) {
    for (int64_t i = 0; i < y.count(); ++i) y.as<T>()[i] = mean ? std::numeric_limits<T>::quiet_NaN() : T(0);
    return;
  }
  const Plan plan(x.shape, axis_mask(c, x.shape.rank));
  auto* const partial = c.scratch<char>();
  auto* between = reinterpret_cast<T*>(partial + plan.partial_bytes(sizeof(T)));
  const T* from = x.as<const T>();
  for (int i = 0; i < plan.count; ++i) {
    const Pass& p = plan.passes[i];
    const bool last = i + 1 == plan.count;
    T* const to = last ? y.as<T>() : between;
    const double divisor = last && mean ? double(x.count() / y.count()) : 1;
    if (p.inner == 1)
      fold_rows<Kernels>(fold, p, from, to, reinterpret_cast<double*>(partial), divisor);
    else
      fold_columns<Kernels>(fold, p, from, to, reinterpret_cast<T*>(partial), divisor);
    from = to;
    if (!last) between += p.outer * p.inner;
  }
}

// The dimensions of x that are kept and that are reduced, with their strides in x.
struct Split {
  Split(const Shape& x, unsigned mask) {
    for (int d = 0; d < x.rank; ++d) (mask >> d & 1 ? reduced : kept).push(x[d], x.product(d + 1, x.rank));
  }
  Walk kept, reduced;
};

void sum_integers(Call& c) {
  const TensorRef &x = c.in(kX), &y = c.out(0);
  const Split split(x.shape, axis_mask(c, x.shape.rank));
  const int64_t n = x.count() == 0 ? 0 : split.reduced.count();
  parallel_ranges(y.count(), kRowChunk / (n + 1) + 1, [&](int64_t begin, int64_t end) {
    Walk at = split.kept;
    if (n > 0) at.seek(begin);
    for (int64_t i = begin; i < end; ++i, at.next()) {
      Walk term = split.reduced;
      int64_t total = 0;
      for (int64_t k = 0; k < n; ++k, term.next()) total += x.as<int32_t>()[at.offset + term.offset];
      const bool fits = total == int32_t(total);
      if (!fits) c.fault(concat("element ", i, " is ", total, ", which does not fit int32"));
      y.as<int32_t>()[i] = fits ? int32_t(total) : 0;
    }
  });
}

template <Fold kFold, bool kMean> void reduce_cpu(Call& c) {
  switch (c.in(kX).dtype) {
    case DType::kFloat32: return reduce<F32>(c, kFold, kMean);
    case DType::kFloat64: return reduce<F64>(c, kFold, kMean);
    default: return sum_integers(c);
  }
}

OpDef reduction(const char* name, void (*infer)(Infer&), void (*cpu)(Call&)) {
  return {
      .name = name,
      .inputs = {"x"},
      .attributes = {"axes*", "keep_dims"},
      .outputs = {"result"},
      .infer = infer,
      .cpu = cpu,
      .work = [](const Call& c) { return Work{double(c.in(kX).count())}; },
  };
}

const Register sum{reduction("sum", infer_sum, reduce_cpu<Fold::kSum, false>)};
const Register mean{reduction("mean", infer_mean, reduce_cpu<Fold::kSum, true>)};
const Register max{reduction("max", infer_extreme, reduce_cpu<Fold::kMax, false>)};
const Register min{reduction("min", infer_extreme, reduce_cpu<Fold::kMin, false>)};

// Gradient of max and min: each result's gradient in equal parts to the elements that equal it.
namespace extreme_backward {
enum In { kX, kResult, kGrad };

void infer(Infer& c) {
  c.require_float(kX);
  c.require_same_dtype(kX, kResult);
  c.require_same_dtype(kX, kGrad);
  c.require_shape(kResult, reduced_shape(c), "the reduced shape of x");
  c.require_same_shape(kResult, kGrad);
  c.output(0, c.in(kX).dtype, c.shape(kX));
}

template <class T> bool same(T a, T b) { return a == b || (std::isnan(a) && std::isnan(b)); }

// Calls row(offset in x) for every position of `at`.
template <class Row> void each(Walk at, const Row& row) {
  at.seek(0);
  for (int64_t i = 0, n = at.count(); i < n; ++i, at.next()) row(at.offset);
}

template <class T> void backward(Call& c) {
  const T *x = c.in(kX).as<const T>(), *y = c.in(kResult).as<const T>(), *g = c.in(kGrad).as<const T>();
  T* const dx = c.out(0).as<T>();
  const auto split = Split(c.in(kX).shape, axis_mask(c, c.in(kX).shape.rank));
  const Walk &kept = split.kept, &reduced = split.reduced;

  // Whatever is innermost in x is walked innermost: kept elements in blocks, or a run of reduced ones.
  constexpr int64_t kBlock = 64;
  const bool columns = kept.rank > 0 && kept.strides[kept.rank - 1] == 1;
  if (columns) {
    const Walk outer = kept.without(kept.rank - 1);
    const int64_t width = kept.sizes[kept.rank - 1], blocks = pieces(width, kBlock);
    parallel_ranges(outer.count() * blocks, kRowChunk / (kBlock * reduced.count()) + 1,
                    [&](int64_t begin, int64_t end) {
                      Walk at = outer;
                      for (int64_t task = begin; task < end; ++task) {
                        at.seek(task / blocks);
                        const int64_t j = task % blocks * kBlock, n = width - j < kBlock ? width - j : kBlock;
                        const int64_t first = task / blocks * width + j;
                        T share[kBlock] = {};
                        each(reduced, [&](int64_t offset) {
                          const T* const from = x + at.offset + j + offset;
                          for (int64_t i = 0; i < n; ++i) share[i] += T(same(from[i], y[first + i]));
                        });
                        for (int64_t i = 0; i < n; ++i) share[i] = g[first + i] / share[i];
                        each(reduced, [&](int64_t offset) {
                          const int64_t to = at.offset + j + offset;
                          for (int64_t i = 0; i < n; ++i) dx[to + i] = same(x[to + i], y[first + i]) ? share[i] : T(0);
                        });
                      }
                    });
  } else {
    const Walk outer = reduced.without(reduced.rank - 1);
    const int64_t run = reduced.rank > 0 ? reduced.sizes[reduced.rank - 1] : 1;
    parallel_ranges(kept.count(), kRowChunk / reduced.count() + 1, [&](int64_t begin, int64_t end) {
      Walk at = kept;
      at.seek(begin);
      for (int64_t k = begin; k < end; ++k, at.next()) {
        T ties = 0;
        each(outer, [&](int64_t offset) {
          for (int64_t i = 0; i < run; ++i) ties += T(same(x[at.offset + offset + i], y[k]));
        });
        const T share = g[k] / ties;
        each(outer, [&](int64_t offset) {
          const int64_t to = at.offset + offset;
          for (int64_t i = 0; i < run; ++i) dx[to + i] = same(x[to + i], y[k]) ? share : T(0);
        });
      }
    });
  }
}

void cpu(Call& c) {
  if (c.in(kX).count() == 0) return;
  if (c.in(kX).dtype == DType::kFloat64)
    backward<double>(c);
  else
    backward<float>(c);
}

const Register op{{
    .name = "extreme_backward",
    .inputs = {"x", "result", "grad"},
    .attributes = {"axes*", "keep_dims"},
    .outputs = {"x_grad"},
    .infer = infer,
    .cpu = cpu,
    .work = [](const Call& c) { return Work{3.0 * double(c.in(kX).count())}; },
}};
}  // namespace extreme_backward

}  // namespace
}  // namespace userllm
