// Products of matrices and of batches of them.
#include <algorithm>
#include <cmath>

#include "core/op.h"
#include "devices/cpu/gemm/gemm.h"
#include "devices/cpu/gemm/gemm_bf16.h"
#include "devices/cpu/gemm/precision.h"

namespace userllm {
namespace {

enum In { kA, kB };
enum Attribute { kTransposeA, kTransposeB, kScale, kSumBatch, kPrecision };

// The product that a call asks for. In `infer` the result has no memory yet.
Gemm product(const Call& c) {
  const Shape &a = c.in(kA).shape, &b = c.in(kB).shape;
  Gemm g;
  g.a_transposed = c.flag(kTransposeA);
  g.b_transposed = c.flag(kTransposeB);
  g.m = a[g.a_transposed ? -1 : -2];
  g.k = a[g.a_transposed ? -2 : -1];
  g.n = b[g.b_transposed ? -2 : -1];
  g.batch = a.rank > 2 ? a.product(0, a.rank - 2) : b.product(0, b.rank - 2);
  g.a = c.in(kA).data;
  g.a_row_stride = a[-1];
  g.a_batch_stride = a.rank > 2 ? g.m * g.k : 0;
  g.b = c.in(kB).data;
  g.b_row_stride = b[-1];
  g.b_batch_stride = b.rank > 2 ? g.k * g.n : 0;
  g.c = c.out(0).data;
  g.c_row_stride = g.n;
  g.c_batch_stride = g.m * g.n;
  g.alpha = c.number(kScale);
  return g;
}

GemmBf16 bf16_product(const Call& c) {
  GemmBf16 g(product(c));
  g.a_bf16 = g.c_bf16 = c.in(kA).dtype == DType::kBFloat16;
  g.b_bf16 = c.in(kB).dtype == DType::kBFloat16;
  return g;
}

// The sum of a batch of products as one product, or as several that accumulate: `items` of the returned kind.
template <class G> G sum_item(const G& g, int64_t* items) {
  G item = g;
  item.batch = 1;
  *items = g.batch;
  const bool rows_follow = g.a_transposed && !g.b_transposed && g.a_batch_stride && g.b_batch_stride;
  if (rows_follow || g.batch == 0) {
    item.k *= g.batch;
    *items = 1;
  }
  return item;
}

// The product of a call in the arithmetic of its dtypes: body(product, its scratch, how to run it).
template <class Body> auto with_product(const Call& c, const Body& body) {
  if (multiplies_bf16(c, kB, c.integer(kPrecision))) return body(bf16_product(c), gemm_bf16_scratch_bytes, gemm_bf16);
  if (c.in(kA).dtype == DType::kFloat64) return body(product(c), gemm_scratch_bytes<double>, gemm<double>);
  return body(product(c), gemm_scratch_bytes<float>, gemm<float>);
}

void infer(Infer& c) {
  require_precision(c, kA, kB, -1, kPrecision);
  if (c.in(kA).dtype == DType::kBFloat16) c.require_same_dtype(kA, kB);
  c.require_rank_at_least(kA, 2, "[..., rows, columns]");
  c.require_rank_at_least(kB, 2, "[..., rows, columns]");
  const bool transpose_a = c.flag(kTransposeA), transpose_b = c.flag(kTransposeB);
  c.number(kScale, -INFINITY, INFINITY);
  const Shape &a = c.shape(kA), &b = c.shape(kB);
  const int64_t inner_a = a[transpose_a ? -2 : -1], inner_b = b[transpose_b ? -1 : -2];
  if (inner_a != inner_b)
    c.fail(c.show(kA), transpose_a ? " (transposed)" : "", " and ", c.show(kB), transpose_b ? " (transposed)" : "",
           " must have the same inner dimension (", inner_a, " vs ", inner_b, ")");
  Shape result;
  if (a.rank > 2 && b.rank > 2) {
    bool same = a.rank == b.rank;
    for (int d = 0; same && d < a.rank - 2; ++d) same = a[d] == b[d];
    if (!same)
      c.fail(c.show(kA), " and ", c.show(kB), " must have the same batch dimensions, unless one of them is a matrix");
  }
  const Shape& batch = a.rank > 2 ? a : b;
  if (!c.flag(kSumBatch))
    for (int d = 0; d < batch.rank - 2; ++d) result.push(batch[d]);
  result.push(a[transpose_a ? -1 : -2]);
  result.push(b[transpose_b ? -2 : -1]);
  c.output(0, c.in(kA).dtype, result);
  c.scratch(with_product(c.call, [&](const auto& g, const auto& bytes_of, const auto&) {
    if (!c.flag(kSumBatch)) return bytes_of(g);
    int64_t items;
    auto item = sum_item(g, &items);
    const size_t first = bytes_of(item);
    item.accumulate = true;
    return std::max(first, bytes_of(item));
  }));
}

void matmul_cpu(Call& c) {
  with_product(c, [&](auto g, const auto&, const auto& run) {
    g.scratch = c.scratch<void>();
    if (!c.flag(kSumBatch)) return run(g);
    int64_t items;
    auto item = sum_item(g, &items);
    for (int64_t i = 0; i < items; ++i) {
      run(item);
      item.a = static_cast<const char*>(item.a) + size_t(g.a_batch_stride) * size_of(c.in(kA).dtype);
      item.b = static_cast<const char*>(item.b) + size_t(g.b_batch_stride) * size_of(c.in(kB).dtype);
      item.accumulate = true;
    }
  });
}

const Register op{{
    .name = "matmul",
    .inputs = {"a", "b"},
    .attributes = {"transpose_a", "transpose_b", "scale", "sum_batch", "precision"},
    .outputs = {"result"},
    .infer = infer,
    .cpu = matmul_cpu,
    .work =
        [](const Call& c) {
          const Gemm g = product(c);
          return Work{2.0 * double(g.batch) * double(g.m) * double(g.n) * double(g.k)};
        },
}};

}  // namespace
}  // namespace userllm
