// x limited to [min, max].
#include <cmath>

#include "devices/cpu/thread_pool.h"
#include "ops/elementwise/broadcast.h"
#include "ops/elementwise/unary.simd.h"

namespace userllm {
namespace {

enum Attribute { kMin, kMax };

void check_limits(const Infer& c) {
  c.number(kMin, -INFINITY, INFINITY);
  c.number(kMax, -INFINITY, INFINITY);
}

void infer(Infer& c) {
  c.require_float(0);
  check_limits(c);
  c.output(0, c.in(0).dtype, c.shape(0));
}

void infer_backward(Infer& c) {
  enum In { kX, kGrad };
  c.require_float(kX);
  c.require_same_dtype(kX, kGrad);
  c.require_same_shape(kX, kGrad);
  check_limits(c);
  c.output(0, c.in(kX).dtype, c.shape(kX));
}

template <class T, class Kernel> void run(Call& c, Kernel kernel) {
  parallel_ranges(c.in(0).count(), kElementGrain, [&](int64_t begin, int64_t end) {
    kernel(c.in(0).as<T>() + begin, c.out(0).as<T>() + begin, end - begin, T(c.number(kMin)), T(c.number(kMax)));
  });
}

template <class T, class Kernel> void run_backward(Call& c, Kernel kernel) {
  parallel_ranges(c.in(0).count(), kElementGrain, [&](int64_t begin, int64_t end) {
    kernel(c.in(0).as<T>() + begin, c.in(1).as<T>() + begin, c.out(0).as<T>() + begin, end - begin, T(c.number(kMin)),
           T(c.number(kMax)));
  });
}

void cpu(Call& c) {
  if (c.in(0).dtype == DType::kFloat64)
    run<double>(c, SIMD_CALL(clamp_f64));
  else
    run<float>(c, SIMD_CALL(clamp_f32));
}

void backward_cpu(Call& c) {
  if (c.in(0).dtype == DType::kFloat64)
    run_backward<double>(c, SIMD_CALL(clamp_backward_f64));
  else
    run_backward<float>(c, SIMD_CALL(clamp_backward_f32));
}

const Register clamp{{
    .name = "clamp",
    .inputs = {"x"},
    .attributes = {"min", "max"},
    .outputs = {"result"},
    .infer = infer,
    .cpu = cpu,
}};

const Register clamp_backward{{
    .name = "clamp_backward",
    .inputs = {"x", "grad"},
    .attributes = {"min", "max"},
    .outputs = {"x_grad"},
    .infer = infer_backward,
    .cpu = backward_cpu,
}};

}  // namespace
}  // namespace userllm
