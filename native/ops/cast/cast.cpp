// The same numbers in another dtype. Into whole numbers: towards zero, the nearest limit where they do not fit, and 0
// for NaN. Into bfloat16: to nearest even, by way of float32.
#include "ops/cast/cast.simd.h"

#include "core/op.h"
#include "devices/cpu/thread_pool.h"

namespace userllm {
namespace {

enum Attribute { kDType };

void infer(Infer& c) { c.output(0, DType(c.integer(kDType, 0, kDTypes - 1)), c.shape(0)); }

void cpu(Call& c) {
  const TensorRef &x = c.in(0), &to = c.out(0);
  parallel_ranges(x.count(), 1 << 14, [&](int64_t begin, int64_t end) {
    SIMD_CALL(cast_elements)
    (Element(x.dtype), x.as<char>() + begin * int64_t(size_of(x.dtype)), Element(to.dtype),
     to.as<char>() + begin * int64_t(size_of(to.dtype)), end - begin);
  });
}

const Register op{{
    .name = "cast",
    .inputs = {"x"},
    .attributes = {"dtype"},
    .outputs = {"result"},
    .infer = infer,
    .cpu = cpu,
}};

}  // namespace
}  // namespace userllm
