// Softmax over the last dimension, and its logarithm.
#include "core/op.h"
#include "devices/cpu/thread_pool.h"
#include "ops/softmax/log_softmax.simd.h"
#include "ops/softmax/softmax.simd.h"

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

template <class T> using Forward = void (*)(const T* x, T* y, int64_t rows, int64_t width);
template <class T> using Backward = void (*)(const T* y, const T* grad, T* dx, int64_t rows, int64_t width);

template <class Rows> void over_rows(const TensorRef& x, Rows rows) {
  const int64_t width = x.shape[-1];
  if (x.count() == 0) return;
  parallel_ranges(x.shape.rows(), grain(width),
                  [&](int64_t begin, int64_t end) { rows(begin * width, end - begin, width); });
}

template <class T> void forward(const Call& c, Forward<T> kernel) {
  const T* x = c.in(0).as<T>();
  T* y = c.out(0).as<T>();
  over_rows(c.in(0), [&](int64_t at, int64_t rows, int64_t width) { kernel(x + at, y + at, rows, width); });
}

template <class T> void backward(const Call& c, Backward<T> kernel) {
  const T *y = c.in(0).as<T>(), *grad = c.in(1).as<T>();
  T* dx = c.out(0).as<T>();
  over_rows(c.in(0), [&](int64_t at, int64_t rows, int64_t width) { kernel(y + at, grad + at, dx + at, rows, width); });
}

bool is_double(const Call& c) { return c.in(0).dtype == DType::kFloat64; }

void softmax_cpu(Call& c) {
  if (is_double(c)) return forward<double>(c, SIMD_CALL(softmax_rows_f64));
  forward<float>(c, SIMD_CALL(softmax_rows_f32));
}
void softmax_backward_cpu(Call& c) {
  if (is_double(c)) return backward<double>(c, SIMD_CALL(softmax_backward_rows_f64));
  backward<float>(c, SIMD_CALL(softmax_backward_rows_f32));
}
void log_softmax_cpu(Call& c) {
  if (is_double(c)) return forward<double>(c, SIMD_CALL(log_softmax_rows_f64));
  forward<float>(c, SIMD_CALL(log_softmax_rows_f32));
}
void log_softmax_backward_cpu(Call& c) {
  if (is_double(c)) return backward<double>(c, SIMD_CALL(log_softmax_backward_rows_f64));
  backward<float>(c, SIMD_CALL(log_softmax_backward_rows_f32));
}

Register forward_op(const char* name, void (*cpu)(Call&), Work (*work)(const Call&)) {
  return Register({.name = name, .inputs = {"x"}, .outputs = {"result"}, .infer = infer, .cpu = cpu, .work = work});
}
Register backward_op(const char* name, void (*cpu)(Call&), Work (*work)(const Call&)) {
  return Register({.name = name,
                   .inputs = {"result", "grad"},
                   .outputs = {"x_grad"},
                   .infer = infer_backward,
                   .cpu = cpu,
                   .work = work});
}

// Floating-point operations of each element.
template <int kFlops> Work work(const Call& c) { return Work{double(kFlops) * double(c.in(0).count())}; }

const Register ops[] = {
    forward_op("softmax", softmax_cpu, work<5>),
    backward_op("softmax_backward", softmax_backward_cpu, work<4>),
    forward_op("log_softmax", log_softmax_cpu, work<6>),
    backward_op("log_softmax_backward", log_softmax_backward_cpu, work<5>),
};

}  // namespace
}  // namespace userllm
