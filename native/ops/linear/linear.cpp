// x · weightᵀ with its epilogue (bias, GELU, residual), and the parts of its gradient that are not plain
// products.
#include "core/op.h"
#include "devices/cpu/gemm/linear_product.h"
#include "devices/cpu/gemm/precision.h"
#include "devices/cpu/gemm/weight_pack.h"
#include "devices/cpu/row_blocks.h"
#include "ops/linear/linear.simd.h"

namespace userllm {
namespace {

// ---- result = activation(x · weightᵀ + bias) + residual ----

namespace forward {

enum In { kX, kWeight, kBias, kResidual, kShadow };
enum Attribute { kActivation, kPrecision };
enum Out { kResult, kPreactivation };

Gemm product(const Call& c) {
  Gemm g = linear_product(c.in(kX), c.in(kWeight), c.out(kResult));
  g.bias = c.in(kBias).data;
  g.residual = c.in(kResidual).data;
  g.activation = Activation(c.integer(kActivation));
  g.preactivation = c.out(kPreactivation).data;
  return g;
}

GemmBf16 bf16_product(const Call& c) {
  const TensorRef& weight = c.in(source_of(c, kWeight, kShadow));
  GemmBf16 g(product(c));
  g.b = weight.data;
  g.a_bf16 = g.c_bf16 = c.in(kX).dtype == DType::kBFloat16;
  g.b_bf16 = weight.dtype == DType::kBFloat16;
  g.bias_bf16 = c.in(kBias).dtype == DType::kBFloat16;
  return g;
}

void infer(Infer& c) {
  const bool bf16 = require_precision(c, kX, kWeight, kShadow, kPrecision);
  const DType dtype = c.in(kX).dtype;
  if (bf16)
    c.require_dtype(kBias, {DType::kFloat32, DType::kBFloat16});
  else
    c.require_same_dtype(kX, kBias);
  c.require_same_dtype(kX, kResidual);
  c.require_rank_at_least(kX, 1, "[..., inWidth]");
  c.require_rank(kWeight, 2, "[outWidth, inWidth]");
  c.require_same(kX, -1, kWeight, 1, "input width");
  c.integer(kActivation, int64_t(Activation::kNone), int64_t(Activation::kGeluTanh));
  const int64_t out_width = c.shape(kWeight)[0];
  const Shape result = c.shape(kX).with(-1, out_width);
  c.require_shape(kBias, {out_width}, "the output width of weight");
  c.require_shape(kResidual, result, "the shape of the result");
  c.output(kResult, dtype, result);
  c.output(kPreactivation, dtype, result);
  if (bf16)
    ask_for_weight_pack(c, source_of(c.call, kWeight, kShadow), bf16_product(c.call));
  else if (dtype == DType::kFloat64)
    ask_for_weight_pack<double>(c, kWeight, product(c.call));
  else
    ask_for_weight_pack<float>(c, kWeight, product(c.call));
}

void cpu(Call& c) {
  if (multiplies_bf16(c, kWeight, c.integer(kPrecision)))
    gemm_with_weight_pack(c, bf16_product(c));
  else if (c.in(kX).dtype == DType::kFloat64)
    gemm_with_weight_pack<double>(c, product(c));
  else
    gemm_with_weight_pack<float>(c, product(c));
}

const Register op{{
    .name = "linear",
    .inputs = {"x", "weight", "bias?", "residual?", "shadow?"},
    .attributes = {"activation", "precision"},
    .outputs = {"result", "preactivation?"},
    .infer = infer,
    .cpu = cpu,
    .work = [](const Call& c) { return Work{2.0 * double(c.in(kX).count()) * double(c.in(kWeight).shape[0])}; },
}};

}  // namespace forward

// ---- x_grad = grad · weight ----

namespace input_grad {

enum In { kGrad, kWeight, kShadow };

Gemm product(const Call& c) {
  Gemm g = linear_input_grad_product(c.in(kGrad), c.in(kWeight), c.out(0));
  return g;
}

GemmBf16 bf16_product(const Call& c) {
  const TensorRef& weight = c.in(source_of(c, kWeight, kShadow));
  GemmBf16 g(product(c));
  g.b = weight.data;
  g.a_bf16 = g.c_bf16 = c.in(kGrad).dtype == DType::kBFloat16;
  g.b_bf16 = weight.dtype == DType::kBFloat16;
  return g;
}

void infer(Infer& c) {
  const bool bf16 = require_precision(c, kGrad, kWeight, kShadow, 0);
  c.require_rank_at_least(kGrad, 1, "[..., outWidth]");
  c.require_rank(kWeight, 2, "[outWidth, inWidth]");
  c.require_same(kGrad, -1, kWeight, 0, "output width");
  c.output(0, c.in(kGrad).dtype, c.shape(kGrad).with(-1, c.shape(kWeight)[1]));
  if (bf16)
    ask_for_weight_pack(c, source_of(c.call, kWeight, kShadow), bf16_product(c.call));
  else if (c.in(kGrad).dtype == DType::kFloat64)
    ask_for_weight_pack<double>(c, kWeight, product(c.call));
  else
    ask_for_weight_pack<float>(c, kWeight, product(c.call));
}

void cpu(Call& c) {
  if (multiplies_bf16(c, kWeight, c.integer(0)))
    gemm_with_weight_pack(c, bf16_product(c));
  else if (c.in(kGrad).dtype == DType::kFloat64)
    gemm_with_weight_pack<double>(c, product(c));
  else
    gemm_with_weight_pack<float>(c, product(c));
}

const Register op{{
    .name = "linear_input_grad",
    .inputs = {"grad", "weight", "shadow?"},
    .attributes = {"precision"},
    .outputs = {"x_grad"},
    .infer = infer,
    .cpu = cpu,
    .work = [](const Call& c) { return Work{2.0 * double(c.in(kGrad).count()) * double(c.in(kWeight).shape[1])}; },
}};

}  // namespace input_grad

// ---- gradient of the preactivation, and of the bias: its column sums ----

namespace epilogue_backward {

enum In { kGrad, kPreactivation };
enum Out { kPreactivationGrad, kBiasGrad };

void infer(Infer& c) {
  c.require_float(kGrad);
  c.require_same_dtype(kGrad, kPreactivation);
  c.require_rank_at_least(kGrad, 1, "[..., outWidth]");
  c.require_same_shape(kGrad, kPreactivation);
  const Shape& grad = c.shape(kGrad);
  const DType dtype = c.in(kGrad).dtype;
  if (c.in(kPreactivation)) c.output(kPreactivationGrad, dtype, grad);
  c.output(kBiasGrad, dtype, {grad[-1]});
  if (c.call.wants(kBiasGrad)) c.scratch(size_t(RowBlocks(grad.rows(), grad[-1]).count() * grad[-1]) * size_of(dtype));
}

template <class T, class Kernel> void run(Call& c, const Kernel& kernel) {
  const Shape& shape = c.in(kGrad).shape;
  const RowBlocks blocks(shape.rows(), shape[-1]);
  const T *grad = c.in(kGrad).as<T>(), *preactivation = c.in(kPreactivation).as<T>();
  T* result = c.out(kPreactivationGrad).as<T>();
  T* sums = c.wants(kBiasGrad) ? c.scratch<T>() : nullptr;
  if (result || sums)
    blocks.each([&](int64_t begin, int64_t end, int64_t block) {
      const int64_t at = begin * blocks.width;
      kernel(grad + at, preactivation ? preactivation + at : nullptr, result ? result + at : nullptr,
             sums ? sums + block * blocks.width : nullptr, end - begin, blocks.width);
    });
  if (c.wants(kBiasGrad)) blocks.add_up(sums, c.out(kBiasGrad).as<T>());
}

void cpu(Call& c) {
  if (c.in(kGrad).dtype == DType::kFloat64)
    run<double>(c, SIMD_CALL(linear_epilogue_backward_f64));
  else
    run<float>(c, SIMD_CALL(linear_epilogue_backward_f32));
}

const Register op{{
    .name = "linear_epilogue_backward",
    .inputs = {"grad", "preactivation?"},
    .outputs = {"preactivation_grad?", "bias_grad?"},
    .infer = infer,
    .cpu = cpu,
    .work = [](const Call& c) { return Work{(c.in(kPreactivation) ? 15.0 : 1.0) * double(c.in(kGrad).count())}; },
}};

}  // namespace epilogue_backward

}  // namespace
}  // namespace userllm
