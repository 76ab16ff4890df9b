// target += value, in place: gradient accumulation, where the tape or the caller owns the target.
#include "core/op.h"
#include "devices/cpu/thread_pool.h"

namespace userllm {
namespace {

enum In { kTarget, kValue };

void infer(Infer& c) {
  c.require_float(kTarget);
  c.require_same_dtype(kTarget, kValue);
  c.require_same_shape(kTarget, kValue);
}

template <class T> void accumulate(const TensorRef& target, const TensorRef& value) {
  T* to = target.as<T>();
  const T* from = value.as<T>();
  parallel_ranges(target.count(), 1 << 15, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) to[i] += from[i];
  });
}

void accumulate_cpu(Call& c) {
  if (c.in(kTarget).dtype == DType::kFloat64)
    accumulate<double>(c.in(kTarget), c.in(kValue));
  else
    accumulate<float>(c.in(kTarget), c.in(kValue));
}

const Register op{{
    .name = "accumulate",
    .inputs = {"target", "value"},
    .infer = infer,
    .cpu = accumulate_cpu,
    .work =
        [](const Call& c) {
          return Work{double(c.in(0).count()), 3.0 * double(c.in(0).bytes())};
        },
    .mutates = {kTarget},
}};

}  // namespace
}  // namespace userllm
