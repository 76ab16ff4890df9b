// Logarithm of the softmax over the last dimension.
#include "core/op.h"
#include "devices/cpu/thread_pool.h"
#include "ops/log_softmax/log_softmax.simd.h"

namespace userllm {
namespace {

void infer(Infer& c) {
  enum In { kX };
  c.require_float(kX);
  c.require_rank_at_least(kX, 1, "[..., classes]");
  c.output(0, c.in(kX).dtype, c.shape(kX));
}

void infer_backward(Infer& c) {
  enum In { kResult, kGrad };
  c.require_float(kResult);
  c.require_same_dtype(kResult, kGrad);
  c.require_rank_at_least(kResult, 1, "[..., classes]");
  c.require_same_shape(kResult, kGrad);
  c.output(0, c.in(kResult).dtype, c.shape(kResult));
}

// Rows of one task: enough work to be worth claiming, whatever the width.
int64_t grain(int64_t width) { return width >= 16384 ? 1 : 16384 / (width + 1) + 1; }

template <class Rows> void over_rows(const TensorRef& x, Rows rows) {
  const int64_t width = x.shape[-1];
  if (x.count() == 0) return;
  parallel_ranges(x.shape.rows(), grain(width),
                  [&](int64_t begin, int64_t end) { rows(begin * width, end - begin, width); });
}

void log_softmax_cpu(Call& c) {
  const TensorRef &x = c.in(0), &y = c.out(0);
  if (x.dtype == DType::kFloat64)
    over_rows(x, [&](int64_t at, int64_t rows, int64_t width) {
      SIMD_CALL(log_softmax_rows_f64)(x.as<double>() + at, y.as<double>() + at, rows, width);
    });
  else
    over_rows(x, [&](int64_t at, int64_t rows, int64_t width) {
      SIMD_CALL(log_softmax_rows_f32)(x.as<float>() + at, y.as<float>() + at, rows, width);
    });
}

void log_softmax_backward_cpu(Call& c) {
  const TensorRef &y = c.in(0), &g = c.in(1), &dx = c.out(0);
  if (y.dtype == DType::kFloat64)
    over_rows(y, [&](int64_t at, int64_t rows, int64_t width) {
      SIMD_CALL(log_softmax_backward_rows_f64)
      (y.as<double>() + at, g.as<double>() + at, dx.as<double>() + at, rows, width);
    });
  else
    over_rows(y, [&](int64_t at, int64_t rows, int64_t width) {
      SIMD_CALL(log_softmax_backward_rows_f32)
      (y.as<float>() + at, g.as<float>() + at, dx.as<float>() + at, rows, width);
    });
}

const Register log_softmax{{
    .name = "log_softmax",
    .inputs = {"x"},
    .outputs = {"result"},
    .infer = infer,
    .cpu = log_softmax_cpu,
    .work = [](const Call& c) { return Work{6.0 * double(c.in(0).count())}; },
}};

const Register log_softmax_backward{{
    .name = "log_softmax_backward",
    .inputs = {"result", "grad"},
    .outputs = {"x_grad"},
    .infer = infer_backward,
    .cpu = log_softmax_backward_cpu,
    .work = [](const Call& c) { return Work{5.0 * double(c.in(0).count())}; },
}};

}  // namespace
}  // namespace userllm
