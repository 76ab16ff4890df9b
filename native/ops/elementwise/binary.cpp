// Two operands of one dtype, broadcast; one of them may be a number instead of a tensor.
#include "ops/elementwise/binary.simd.h"
#include "ops/elementwise/broadcast.h"

namespace userllm {
namespace {

enum In { kA, kB };
enum Attribute { kScalar };

void infer(Infer& c, bool floats) {
  if (!c.in(kA) && !c.in(kB)) c.fail_usage("one of a and b must be a tensor");
  c.require_same_dtype(kA, kB);
  const int tensor = c.in(kA) ? kA : kB;
  if (floats)
    c.require_float(tensor);
  else
    c.require_dtype(tensor, {DType::kFloat32, DType::kFloat64, DType::kInt32});
  const DType dtype = c.in(tensor).dtype;
  if (dtype == DType::kInt32 && !(c.in(kA) && c.in(kB))) c.integer(kScalar, INT32_MIN, INT32_MAX);
  c.output(0, dtype, broadcast_with(c, broadcast_with(c, {}, kA), kB));
}
void infer_any(Infer& c) { infer(c, false); }
void infer_floats(Infer& c) { infer(c, true); }

template <class T, class Kernel> void run(Call& c, Binary op, Kernel kernel) {
  const T scalar = T(c.number(kScalar));
  const T* a = c.in(kA) ? c.in(kA).as<T>() : &scalar;
  const T* b = c.in(kB) ? c.in(kB).as<T>() : &scalar;
  T* to = c.out(0).as<T>();
  const BroadcastLoop loop(c.out(0).shape, {c.in(kA).shape, c.in(kB).shape});
  const BinarySteps steps{loop.row_step(kA), loop.step(kA), loop.row_step(kB), loop.step(kB)};
  loop.run([&](const BroadcastLoop::Block& block) {
    kernel(op, a + block.offsets[kA], b + block.offsets[kB], to + block.at, block.rows, block.width, steps);
  });
}

void run(Call& c, Binary op) {
  switch (c.out(0).dtype) {
    case DType::kFloat64: return run<double>(c, op, SIMD_CALL(binary_f64));
    case DType::kInt32: return run<int32_t>(c, op, SIMD_CALL(binary_i32));
    default: return run<float>(c, op, SIMD_CALL(binary_f32));
  }
}

template <Binary op> void cpu(Call& c) { run(c, op); }

OpDef define(const char* name, void (*infer)(Infer&), void (*cpu)(Call&)) {
  return {
      .name = name,
      .inputs = {"a?", "b?"},
      .attributes = {"scalar"},  // the operand that is absent
      .outputs = {"result"},
      .infer = infer,
      .cpu = cpu,
      .work = [](const Call& c) { return Work{double(c.out(0).count())}; },
  };
}

const Register ops[] = {
#define ANY(name, formula) Register(define(#name, infer_any, cpu<Binary::name>)),
#define FLOATS(name, formula) Register(define(#name, infer_floats, cpu<Binary::name>)),
    BINARY_OPS_OF_ANY(ANY) BINARY_OPS_OF_FLOATS(FLOATS)
#undef ANY
#undef FLOATS
};

}  // namespace
}  // namespace userllm
