// A linear layer with low-rank adapters. Forward and backward are each one product with the base weight, whose register
// tiles go on with the narrow factors of the adapters, or start from what these add. The narrow products with the
// adapters read their wide operand once; the product of an adapter's two matrices is never made.
//
// Hu et al., "LoRA: low-rank adaptation of large language models", arXiv:2106.09685
#include "ops/lora_linear/adapters.h"

namespace userllm::lora {
namespace {

// ---- result = x · weightᵀ + bias + residual, and for each adapter result[..., columns] += scale · (input · aᵀ) · bᵀ

enum In { kX, kWeight, kBias, kResidual, kAdapterInput, kShadow, kA, kB };
enum Attribute { kPrecision = 2 };
enum Out { kResult, kDown };

bool is_bf16(const Call& c) { return multiplies_bf16(c, kWeight, c.integer(kPrecision)); }

Gemm product(const Call& c) {
  Gemm g = linear_product(c.in(kX), c.in(kWeight), c.out(kResult));
  g.accumulate = true;
  g.bias = c.in(kBias).data;
  return g;
}

// input · aᵀ of one adapter
Gemm down_product(const Call& c, const Adapter& adapter) {
  Gemm g;
  g.m = c.in(kX).shape.rows();
  g.n = adapter.rank;
  g.k = c.in(kX).shape[-1];
  g.a = c.in(c.in(kAdapterInput) ? kAdapterInput : kX).data;
  g.a_row_stride = g.k;
  g.b = adapter.a.data;
  g.b_row_stride = g.k;
  g.b_transposed = true;
  return g;
}

template <class T> struct Memory {
  T *downs, *factors;
  Memory(Scratch& scratch, bool keeps_downs, int64_t rows, int64_t ranks, int64_t out_width)
      : downs(scratch.add<T>(!keeps_downs, rows, ranks)),
        factors(scratch.add<T>(true, ranks, up_stride<T>(out_width))) {}
};

template <class T> void ask(Infer& c, const Adapters& adapters) {
  if (is_bf16(c.call))
    ask_for_weight_pack(c, source_of(c.call, kWeight, kShadow),
                        in_bf16(c.call, product(c.call), kWeight, kShadow, kBias));
  else
    ask_for_weight_pack<T>(c, kWeight, product(c.call));
  Scratch scratch{c.call};
  Memory<T>(scratch, c.call.wants(kDown), c.shape(kX).rows(), adapters.ranks(), c.shape(kWeight)[0]);
  ask_for_scratch<T>(c, scratch, adapters, [&](const Adapter& adapter) { return down_product(c.call, adapter); });
}

void infer(Infer& c) {
  c.require_float(kX);
  if (require_precision(c, kX, kWeight, kShadow, kPrecision))
    c.require_dtype(kBias, {DType::kFloat32, DType::kBFloat16});
  else
    c.require_same_dtype(kX, kBias);
  for (const int i : {kResidual, kAdapterInput}) c.require_same_dtype(kX, i);
  c.require_rank_at_least(kX, 1, "[..., inWidth]");
  c.require_rank(kWeight, 2, "[outWidth, inWidth]");
  c.require_same(kX, -1, kWeight, 1, "input width");
  c.require_same_shape(kX, kAdapterInput);
  const Shape& x = c.shape(kX);
  const DType dtype = c.in(kX).dtype;
  const int64_t out_width = c.shape(kWeight)[0];
  const Shape result = x.with(-1, out_width);
  c.require_shape(kBias, {out_width}, "the output width of weight");
  c.require_shape(kResidual, result, "the shape of the result");
  const Adapters adapters(c.call, kA, kB);
  check_adapters(c, adapters, dtype, x[-1], out_width);
  c.output(kResult, dtype, result);
  c.output(kDown, dtype, x.with(-1, adapters.ranks()));
  dtype == DType::kFloat64 ? ask<double>(c, adapters) : ask<float>(c, adapters);
}

template <class T> void run(Call& c) {
  const Adapters adapters(c, kA, kB);
  Gemm gemm = product(c);
  const int64_t width = gemm.k, ranks = adapters.ranks(), stride = up_stride<T>(gemm.n);
  Scratch scratch{c};
  const Memory<T> memory(scratch, c.wants(kDown), gemm.m, ranks, gemm.n);
  T* const downs = c.wants(kDown) ? c.out(kDown).as<T>() : memory.downs;
  std::fill_n(memory.factors, ranks * stride, T(0));
  adapters.each([&](const Adapter& adapter) {
    transpose_scaled(adapter, memory.factors + adapter.first_rank * stride + adapter.begin, stride);
  });
  const T* const input = c.in(c.in(kAdapterInput) ? kAdapterInput : kX).as<T>();
  multiply_wide<T>(c, scratch, adapters, [&](const Adapter& adapter) {
    Gemm g = down_product(c, adapter);
    g.c = downs + adapter.first_rank;
    g.c_row_stride = ranks;
    return g;
  });
  if (adapters.any_narrow())
    parallel_ranges(gemm.m, block_rows<T>(width, ranks), [&](int64_t begin, int64_t end) {
      adapters.each([&](const Adapter& adapter) {
        if (!adapter.narrow()) return;
        down<T>({
            .x = input + begin * width,
            .x_stride = width,
            .weight = adapter.a.as<T>(),
            .weight_stride = width,
            .down = downs + begin * ranks + adapter.first_rank,
            .down_stride = ranks,
            .rows = end - begin,
            .width = width,
            .ranks = adapter.rank,
        });
      });
    });
  const Addition<T> addition{
      .downs = downs,
      .ranks = ranks,
      .factors = memory.factors,
      .stride = stride,
      .adapters = &adapters,
      .residual = c.in(kResidual).as<T>(),
      .result = c.out(kResult).as<T>(),
      .width = gemm.n,
  };
  if (is_bf16(c) && gemm.k > 0)
    multiply_bf16(c, in_bf16(c, gemm, kWeight, kShadow, kBias), scratch, &addition);
  else
    multiply<T>(c, gemm, scratch, &addition);
}

const Register op{{
    .name = "lora_linear",
    .inputs = {"x", "weight", "bias?", "residual?", "adapter_input?", "shadow?", "a*", "b*"},
    .attributes = {"offsets*", "scales*", "precision"},
    .outputs = {"result", "down?"},
    .infer = infer,
    .cpu = [](Call& c) { c.in(kX).dtype == DType::kFloat64 ? run<double>(c) : run<float>(c); },
    .work =
        [](const Call& c) {
          const Adapters adapters(c, kA, kB);
          const double per_row = double(c.in(kWeight).count()) + double(adapters.factors()) +
                                 double(adapters.ranks()) * double(c.in(kX).shape[-1]);
          return Work{2 * double(c.in(kX).shape.rows()) * per_row};
        },
}};

}  // namespace
}  // namespace userllm::lora
