// Dropout: each element is zeroed with probability p, and the others are scaled by 1 / (1 - p). The mask is computed
// anew from the generator's state and the call number, so the gradient is the same op and no mask is stored.
#include "core/op.h"
#include "core/random.h"
#include "devices/cpu/thread_pool.h"
#include "ops/dropout/dropout.simd.h"

namespace userllm {
namespace {

enum In { kX, kState };
enum Attribute { kP, kCall };

void infer(Infer& c) {
  c.require_float(kX);
  c.require_dtype(kState, {DType::kInt32});
  c.require_shape(kState, {4}, "a generator's state");
  if (c.number(kP, 0, 1) == 1) c.fail_usage("p must be less than 1");
  c.integer(kCall, 0, int64_t(1) << 53);
  c.output(0, c.in(kX).dtype, c.shape(kX));
}

// A multiple of four: whole Philox blocks.
constexpr int64_t kGrain = 8 << 10;

void dropout_cpu(Call& c) {
  const TensorRef &x = c.in(kX), &y = c.out(0);
  const double p = c.number(kP), scale = 1 / (1 - p);
  const uint32_t threshold = dropout_threshold(p);
  const uint64_t call = uint64_t(c.integer(kCall)), key = philox_key(c.in(kState).as<const int32_t>());
  parallel_ranges(x.count(), kGrain, [&](int64_t begin, int64_t end) {
    if (x.dtype == DType::kFloat64) SIMD_CALL(dropout_f64)
    (x.as<const double>() + begin, y.as<double>() + begin, end - begin, uint64_t(begin) / 4, call, key, threshold,
     scale);
    else SIMD_CALL(dropout_f32)(x.as<const float>() + begin, y.as<float>() + begin, end - begin, uint64_t(begin) / 4,
                                call, key, threshold, float(scale));
  });
}

const Register op{{
    .name = "dropout",
    .inputs = {"x", "state"},
    .attributes = {"p", "call"},
    .outputs = {"result"},
    .infer = infer,
    .cpu = dropout_cpu,
    .work = [](const Call& c) { return Work{double(c.in(kX).count())}; },
}};

}  // namespace
}  // namespace userllm
