// The k largest elements of each row, and the position of the largest along a dimension. NaN is larger than any
// number; of equal elements the one with the lower index comes first.
#include <cmath>

#include "core/op.h"
#include "devices/cpu/thread_pool.h"
#include "devices/cpu/top_heap.h"
#include "ops/top_k/top_k.simd.h"

namespace userllm {
namespace {

constexpr int64_t kGrain = 16 << 10;

void argmax_columns(const float* x, int32_t* best, int64_t rows, int64_t stride, int64_t width) {
  SIMD_CALL(argmax_columns_f32)(x, best, rows, stride, width);
}
void argmax_columns(const double* x, int32_t* best, int64_t rows, int64_t stride, int64_t width) {
  SIMD_CALL(argmax_columns_f64)(x, best, rows, stride, width);
}

namespace top_k {
enum In { kX };
enum Attribute { kK };
enum Out { kValues, kIndices };

void infer(Infer& c) {
  c.require_float(kX);
  c.require_rank_at_least(kX, 1, "[..., classes]");
  const Shape& x = c.shape(kX);
  const int64_t k = c.integer(kK, 0, INT32_MAX);
  if (k > x[-1]) c.fail(c.show(kX), " has no ", k, " elements in its last dimension");
  if (x[-1] > INT32_MAX) c.fail(c.show(kX), " is too long for int32 indices");
  c.output(kValues, c.in(kX).dtype, x.with(-1, k));
  c.output(kIndices, DType::kInt32, x.with(-1, k));
}

// The heap lies in the outputs.
template <class T> void top_of_row(const T* x, int64_t n, TopHeap<T> heap, int64_t k) {
  for (int64_t i = 0; i < k; ++i) {
    heap.value[i] = x[i];
    heap.index[i] = int32_t(i);
  }
  for (int64_t i = k / 2 - 1; i >= 0; --i) heap.sift(i, k, heap.value[i], heap.index[i]);
  for (int64_t i = k; i < n && !std::isnan(heap.value[0]); ++i) {
    i = find_above(x, i, n, heap.value[0]);
    if (i < n) heap.sift(0, k, x[i], int32_t(i));
  }
  heap.sort(k);
}

template <class T> void top(const Call& c) {
  const TensorRef& x = c.in(kX);
  const int64_t n = x.shape[-1], k = c.integer(kK);
  parallel_ranges(x.shape.rows(), kGrain / n + 1, [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r)
      top_of_row(x.as<const T>() + r * n, n,
                 TopHeap<T>{c.out(kValues).as<T>() + r * k, c.out(kIndices).as<int32_t>() + r * k}, k);
  });
}

void cpu(Call& c) {
  if (c.out(kValues).count() == 0) return;
  if (c.in(kX).dtype == DType::kFloat64)
    top<double>(c);
  else
    top<float>(c);
}

const Register op{{
    .name = "top_k",
    .inputs = {"x"},
    .attributes = {"k"},
    .outputs = {"values", "indices"},
    .infer = infer,
    .cpu = cpu,
    .work = [](const Call& c) { return Work{double(c.in(kX).count())}; },
}};
}  // namespace top_k

namespace argmax {
enum In { kX };
enum Attribute { kAxis, kKeepDims };

void infer(Infer& c) {
  c.require_float(kX);
  c.require_rank_at_least(kX, 1, "of rank 1 or more");
  const Shape& x = c.shape(kX);
  const int axis = c.axis(kAxis, x.rank);
  const Shape result = c.flag(kKeepDims) ? x.with(axis, 1) : x.without(axis);
  if (x[axis] == 0 && result.count() > 0) c.fail(c.show(kX), " has no elements to choose from");
  if (x[axis] > INT32_MAX) c.fail(c.show(kX), " is too long for int32 indices");
  c.output(0, DType::kInt32, result);
}

template <class T> int32_t argmax_row(const T* x, int64_t n) {
  int64_t best = 0;
  for (int64_t i = 1; i < n && !std::isnan(x[best]); ++i)
    if ((i = find_above(x, i, n, x[best])) < n) best = i;
  return int32_t(best);
}

template <class T> void argmax(const Call& c) {
  const TensorRef& x = c.in(kX);
  const int axis = int(c.integer(kAxis)) + (c.integer(kAxis) < 0 ? x.shape.rank : 0);
  const int64_t outer = x.shape.product(0, axis), n = x.shape[axis];
  const int64_t inner = x.shape.product(axis + 1, x.shape.rank);
  const T* from = x.as<const T>();
  auto* const to = c.out(0).as<int32_t>();
  if (inner == 1)
    return parallel_ranges(outer, kGrain / n + 1, [&](int64_t begin, int64_t end) {
      for (int64_t r = begin; r < end; ++r) to[r] = argmax_row(from + r * n, n);
    });
  constexpr int64_t kStrip = 128;
  const int64_t strips = (inner + kStrip - 1) / kStrip;
  parallel_ranges(outer * strips, kGrain / (n * (inner < kStrip ? inner : kStrip)) + 1,
                  [&](int64_t begin, int64_t end) {
                    for (int64_t task = begin; task < end; ++task) {
                      const int64_t o = task / strips, j = task % strips * kStrip;
                      argmax_columns(from + o * n * inner + j, to + o * inner + j, n, inner,
                                     inner - j < kStrip ? inner - j : kStrip);
                    }
                  });
}

void cpu(Call& c) {
  if (c.out(0).count() == 0) return;
  if (c.in(kX).dtype == DType::kFloat64)
    argmax<double>(c);
  else
    argmax<float>(c);
}

const Register op{{
    .name = "argmax",
    .inputs = {"x"},
    .attributes = {"axis", "keep_dims"},
    .outputs = {"result"},
    .infer = infer,
    .cpu = cpu,
    .work = [](const Call& c) { return Work{double(c.in(kX).count())}; },
}};
}  // namespace argmax

}  // namespace
}  // namespace userllm
