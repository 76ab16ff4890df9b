// condition ? a : b, broadcast. a and b have one dtype; either may be a number.
#include <bit>

#include "ops/elementwise/broadcast.h"
#include "ops/elementwise/where.simd.h"

namespace userllm {
namespace {

enum In { kCondition, kA, kB };
enum Attribute { kScalar };

void infer(Infer& c) {
  c.require_dtype(kCondition, {DType::kUInt8});
  if (!c.in(kA) && !c.in(kB)) c.fail_usage("one of a and b must be a tensor");
  c.require_same_dtype(kA, kB);
  const DType dtype = c.in(c.in(kA) ? kA : kB).dtype;
  if (!c.in(kA) || !c.in(kB)) {
    if (dtype == DType::kInt32) c.integer(kScalar, INT32_MIN, INT32_MAX);
    if (dtype == DType::kUInt8) c.integer(kScalar, 0, UINT8_MAX);
  }
  c.output(0, dtype, broadcast_with(c, broadcast_with(c, c.shape(kCondition), kA), kB));
}

// T has the dtype's numbers, Bits its size.
template <class T, class Bits, class Kernel> void run(Call& c, Kernel kernel) {
  const Bits scalar = std::bit_cast<Bits>(T(Compute<T>(c.number(kScalar))));
  const uint8_t* condition = c.in(kCondition).as<uint8_t>();
  const Bits* a = c.in(kA) ? c.in(kA).as<Bits>() : &scalar;
  const Bits* b = c.in(kB) ? c.in(kB).as<Bits>() : &scalar;
  const BroadcastLoop loop(c.out(0).shape, {c.in(kCondition).shape, c.in(kA).shape, c.in(kB).shape});
  const WhereSteps steps{loop.row_step(kCondition), loop.step(kCondition), loop.row_step(kA), loop.step(kA),
                         loop.row_step(kB),         loop.step(kB)};
  loop.run([&](const BroadcastLoop::Block& block) {
    kernel(condition + block.offsets[kCondition], a + block.offsets[kA], b + block.offsets[kB],
           c.out(0).as<Bits>() + block.at, block.rows, block.width, steps);
  });
}

void cpu(Call& c) {
  switch (c.out(0).dtype) {
    case DType::kFloat32: return run<float, uint32_t>(c, SIMD_CALL(where_4));
    case DType::kInt32: return run<int32_t, uint32_t>(c, SIMD_CALL(where_4));
    case DType::kFloat64: return run<double, uint64_t>(c, SIMD_CALL(where_8));
    case DType::kBFloat16: return run<BFloat16, uint16_t>(c, SIMD_CALL(where_2));
    case DType::kUInt8: return run<uint8_t, uint8_t>(c, SIMD_CALL(where_1));
  }
}

const Register op{{
    .name = "where",
    .inputs = {"condition", "a?", "b?"},
    .attributes = {"scalar"},  // a or b, whichever is absent
    .outputs = {"result"},
    .infer = infer,
    .cpu = cpu,
}};

}  // namespace
}  // namespace userllm
