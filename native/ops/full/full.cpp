// A tensor of one value.
#include "core/op.h"
#include "devices/cpu/thread_pool.h"

namespace userllm {
namespace {

enum Attribute { kDType, kValue, kShape };

void infer(Infer& c) {
  const auto dtype = DType(c.integer(kDType, 0, kDTypes - 1));
  // Floating-point types take any number, NaN and infinity too.
  if (dtype == DType::kInt32) c.integer(kValue, INT32_MIN, INT32_MAX);
  if (dtype == DType::kUInt8) c.integer(kValue, 0, UINT8_MAX);
  c.output(0, dtype, c.sizes(kShape));
}

template <class T> void fill(const TensorRef& out, T value) {
  T* to = out.as<T>();
  parallel_ranges(out.count(), 1 << 16, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) to[i] = value;
  });
}

void full_cpu(Call& c) {
  const double value = c.number(kValue);
  switch (c.out(0).dtype) {
    case DType::kFloat32: return fill(c.out(0), float(value));
    case DType::kBFloat16: return fill(c.out(0), BFloat16(float(value)));
    case DType::kInt32: return fill(c.out(0), int32_t(value));
    case DType::kUInt8: return fill(c.out(0), uint8_t(value));
    case DType::kFloat64: return fill(c.out(0), value);
  }
}

const Register op{{
    .name = "full",
    .attributes = {"dtype", "value", "shape*"},
    .outputs = {"result"},
    .infer = infer,
    .cpu = full_cpu,
}};

}  // namespace
}  // namespace userllm
