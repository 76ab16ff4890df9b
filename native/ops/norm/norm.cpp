// Layer and RMS normalisation over the last dimension, alone or fused with the residual sum before them.
#include "core/op.h"
#include "devices/cpu/row_blocks.h"
#include "ops/norm/norm.simd.h"

namespace userllm {
namespace {

int64_t grain(int64_t width) { return 16384 / (width + 1) + 1; }

// The inputs and outputs of the four forward ops.
template <bool kCentered, bool kAdds> struct Form {
  static constexpr int kX = 0, kResidual = 1, kWeight = kAdds ? 2 : 1, kBias = kWeight + 1;
  static constexpr int kResult = 0, kSum = 1, kMean = kAdds ? 2 : 1, kRstd = kCentered ? kMean + 1 : kMean;
  static constexpr int kEpsilon = 0, kWeightOffset = 1;

  static void infer(Infer& c) {
    c.require_float(kX);
    c.require_rank_at_least(kX, 1, "[..., width]");
    const Shape& x = c.shape(kX);
    if (kAdds) {
      c.require_same_dtype(kX, kResidual);
      c.require_same_shape(kX, kResidual);
    }
    c.require_same_dtype(kX, kWeight);
    c.require_shape(kWeight, {x[-1]}, "the width of x");
    if (kCentered) {
      c.require_same_dtype(kX, kBias);
      c.require_shape(kBias, {x[-1]}, "the width of x");
    }
    c.number(kEpsilon, 0, 1);
    if (!kCentered) c.number(kWeightOffset, -1e6, 1e6);
    const DType dtype = c.in(kX).dtype;
    c.output(kResult, dtype, x);
    if (kAdds) c.output(kSum, dtype, x);
    if (kCentered) c.output(kMean, dtype, x.without(-1));
    c.output(kRstd, dtype, x.without(-1));
  }

  template <class T, class Kernel> static void run(Call& c, const Kernel& kernel) {
    const int64_t width = c.in(kX).shape[-1];
    const auto from = [](const TensorRef& t, int64_t at) { return t ? t.as<T>() + at : nullptr; };
    parallel_ranges(c.in(kX).shape.rows(), grain(width), [&](int64_t begin, int64_t end) {
      const int64_t at = begin * width;
      kernel({
          .x = from(c.in(kX), at),
          .residual = kAdds ? from(c.in(kResidual), at) : nullptr,
          .weight = from(c.in(kWeight), 0),
          .bias = kCentered ? from(c.in(kBias), 0) : nullptr,
          .result = from(c.out(kResult), at),
          .sum = kAdds ? from(c.out(kSum), at) : nullptr,
          .mean = kCentered ? from(c.out(kMean), begin) : nullptr,
          .rstd = from(c.out(kRstd), begin),
          .rows = end - begin,
          .width = width,
          .epsilon = T(c.number(kEpsilon)),
          .weight_offset = kCentered ? 0 : T(c.number(kWeightOffset)),
      });
    });
  }

  static void cpu(Call& c) {
    if (c.in(kX).dtype == DType::kFloat64)
      run<double>(c, kCentered ? SIMD_CALL(layer_norm_f64) : SIMD_CALL(rms_norm_f64));
    else
      run<float>(c, kCentered ? SIMD_CALL(layer_norm_f32) : SIMD_CALL(rms_norm_f32));
  }

  static Work work(const Call& c) { return {8.0 * double(c.in(kX).count())}; }
};

// The two backward ops. x is what was normalised: of the fused ops, the sum.
template <bool kCentered> struct Backward {
  static constexpr int kGrad = 0, kX = 1, kRstd = 2, kWeight = 3, kSumGrad = 4, kMean = 5;
  static constexpr int kXGrad = 0, kWeightGrad = 1, kBiasGrad = 2;

  static void infer(Infer& c) {
    c.require_float(kX);
    c.require_rank_at_least(kX, 1, "[..., width]");
    const Shape& x = c.shape(kX);
    const DType dtype = c.in(kX).dtype;
    for (const int i : {kGrad, kRstd, kWeight, kSumGrad}) c.require_same_dtype(kX, i);
    c.require_same_shape(kX, kGrad);
    c.require_same_shape(kX, kSumGrad);
    c.require_shape(kWeight, {x[-1]}, "the width of x");
    c.require_shape(kRstd, x.without(-1), "one for each row of x");
    if (kCentered) {
      c.require_same_dtype(kX, kMean);
      c.require_shape(kMean, x.without(-1), "one for each row of x");
    } else {
      c.number(0, -1e6, 1e6);
    }
    c.output(kXGrad, dtype, x);
    c.output(kWeightGrad, dtype, {x[-1]});
    if (kCentered) c.output(kBiasGrad, dtype, {x[-1]});
    const int sums = (c.call.wants(kWeightGrad) ? 1 : 0) + (kCentered && c.call.wants(kBiasGrad) ? 1 : 0);
    c.scratch(size_t(sums * RowBlocks(x.rows(), x[-1]).count() * x[-1]) * size_of(dtype));
  }

  template <class T, class Kernel> static void run(Call& c, const Kernel& kernel) {
    const Shape& x = c.in(kX).shape;
    const RowBlocks blocks(x.rows(), x[-1]);
    const bool weight_grad = c.wants(kWeightGrad), bias_grad = kCentered && c.wants(kBiasGrad);
    T* weight_sums = c.scratch<T>();
    T* bias_sums = weight_sums + (weight_grad ? blocks.count() * blocks.width : 0);
    const auto from = [](const TensorRef& t, int64_t at) { return t ? t.as<T>() + at : nullptr; };
    blocks.each([&](int64_t begin, int64_t end, int64_t block) {
      const int64_t at = begin * blocks.width;
      kernel({
          .grad = from(c.in(kGrad), at),
          .x = from(c.in(kX), at),
          .mean = kCentered ? from(c.in(kMean), begin) : nullptr,
          .rstd = from(c.in(kRstd), begin),
          .weight = from(c.in(kWeight), 0),
          .sum_grad = from(c.in(kSumGrad), at),
          .x_grad = from(c.out(kXGrad), at),
          .weight_sums = weight_grad ? weight_sums + block * blocks.width : nullptr,
          .bias_sums = bias_grad ? bias_sums + block * blocks.width : nullptr,
          .rows = end - begin,
          .width = blocks.width,
          .weight_offset = kCentered ? 0 : T(c.number(0)),
      });
    });
    if (weight_grad) blocks.add_up(weight_sums, c.out(kWeightGrad).as<T>());
    if (bias_grad) blocks.add_up(bias_sums, c.out(kBiasGrad).as<T>());
  }

  static void cpu(Call& c) {
    if (c.in(kX).dtype == DType::kFloat64)
      run<double>(c, kCentered ? SIMD_CALL(layer_norm_backward_f64) : SIMD_CALL(rms_norm_backward_f64));
    else
      run<float>(c, kCentered ? SIMD_CALL(layer_norm_backward_f32) : SIMD_CALL(rms_norm_backward_f32));
  }

  static Work work(const Call& c) { return {15.0 * double(c.in(kX).count())}; }
};

using LayerNorm = Form<true, false>;
using AddLayerNorm = Form<true, true>;
using RmsNorm = Form<false, false>;
using AddRmsNorm = Form<false, true>;

const Register layer_norm{{
    .name = "layer_norm",
    .inputs = {"x", "weight?", "bias?"},
    .attributes = {"epsilon"},
    .outputs = {"result", "mean?", "rstd?"},
    .infer = LayerNorm::infer,
    .cpu = LayerNorm::cpu,
    .work = LayerNorm::work,
}};

const Register add_layer_norm{{
    .name = "add_layer_norm",
    .inputs = {"x", "residual", "weight?", "bias?"},
    .attributes = {"epsilon"},
    .outputs = {"result", "sum", "mean?", "rstd?"},
    .infer = AddLayerNorm::infer,
    .cpu = AddLayerNorm::cpu,
    .work = AddLayerNorm::work,
}};

const Register layer_norm_backward{{
    .name = "layer_norm_backward",
    .inputs = {"grad", "x", "rstd", "weight?", "sum_grad?", "mean"},
    .outputs = {"x_grad?", "weight_grad?", "bias_grad?"},
    .infer = Backward<true>::infer,
    .cpu = Backward<true>::cpu,
    .work = Backward<true>::work,
}};

const Register rms_norm{{
    .name = "rms_norm",
    .inputs = {"x", "weight?"},
    .attributes = {"epsilon", "weight_offset"},
    .outputs = {"result", "rstd?"},
    .infer = RmsNorm::infer,
    .cpu = RmsNorm::cpu,
    .work = RmsNorm::work,
}};

const Register add_rms_norm{{
    .name = "add_rms_norm",
    .inputs = {"x", "residual", "weight?"},
    .attributes = {"epsilon", "weight_offset"},
    .outputs = {"result", "sum", "rstd?"},
    .infer = AddRmsNorm::infer,
    .cpu = AddRmsNorm::cpu,
    .work = AddRmsNorm::work,
}};

const Register rms_norm_backward{{
    .name = "rms_norm_backward",
    .inputs = {"grad", "x", "rstd", "weight?", "sum_grad?"},
    .attributes = {"weight_offset"},
    .outputs = {"x_grad?", "weight_grad?"},
    .infer = Backward<false>::infer,
    .cpu = Backward<false>::cpu,
    .work = Backward<false>::work,
}};

}  // namespace
}  // namespace userllm
