// One operand, and the gradients of such ops from what the forward pass saved.
#include "devices/cpu/thread_pool.h"
#include "ops/elementwise/broadcast.h"
#include "ops/elementwise/unary.simd.h"

namespace userllm {
namespace {

void infer(Infer& c) {
  c.require_float(0);
  c.output(0, c.in(0).dtype, c.shape(0));
}

void infer_backward(Infer& c) {
  enum In { kSaved, kGrad };
  c.require_float(kSaved);
  c.require_same_dtype(kSaved, kGrad);
  c.require_same_shape(kSaved, kGrad);
  c.output(0, c.in(kSaved).dtype, c.shape(kSaved));
}

void run(Call& c, Unary op) {
  const TensorRef &x = c.in(0), &to = c.out(0);
  parallel_ranges(x.count(), kElementGrain, [&](int64_t begin, int64_t end) {
    if (x.dtype == DType::kFloat64)
      SIMD_CALL(unary_f64)(op, x.as<double>() + begin, to.as<double>() + begin, end - begin);
    else
      SIMD_CALL(unary_f32)(op, x.as<float>() + begin, to.as<float>() + begin, end - begin);
  });
}

void run(Call& c, UnaryBackward op) {
  const TensorRef &saved = c.in(0), &grad = c.in(1), &to = c.out(0);
  parallel_ranges(saved.count(), kElementGrain, [&](int64_t begin, int64_t end) {
    const int64_t count = end - begin;
    if (saved.dtype == DType::kFloat64) SIMD_CALL(unary_backward_f64)
    (op, saved.as<double>() + begin, grad.as<double>() + begin, to.as<double>() + begin, count);
    else SIMD_CALL(unary_backward_f32)(op, saved.as<float>() + begin, grad.as<float>() + begin, to.as<float>() + begin,
                                       count);
  });
}

template <Unary op> void cpu(Call& c) { run(c, op); }
template <UnaryBackward op> void backward_cpu(Call& c) { run(c, op); }

Work work(const Call& c) { return {double(c.in(0).count())}; }

OpDef define(const char* name, void (*cpu)(Call&)) {
  return {.name = name, .inputs = {"x"}, .outputs = {"result"}, .infer = infer, .cpu = cpu, .work = work};
}
OpDef define_backward(const char* name, void (*cpu)(Call&)) {
  return {.name = name,
          .inputs = {"saved", "grad"},
          .outputs = {"x_grad"},
          .infer = infer_backward,
          .cpu = cpu,
          .work = work};
}

const Register ops[] = {
#define OP(name, formula) Register(define(#name, cpu<Unary::name>)),
    UNARY_OPS(OP)
#undef OP
#define OP(name, saved, formula) Register(define_backward(#name, backward_cpu<UnaryBackward::name>)),
        UNARY_BACKWARD_OPS(OP)
#undef OP
};

}  // namespace
}  // namespace userllm
