// Comparisons of two operands of one dtype, broadcast, as uint8: 1 where they hold. One operand may be a number.
#include "ops/elementwise/broadcast.h"
#include "ops/elementwise/compare.simd.h"

namespace userllm {
namespace {

enum In { kA, kB };
enum Attribute { kScalar };

void infer(Infer& c) {
  if (!c.in(kA) && !c.in(kB)) c.fail_usage("one of a and b must be a tensor");
  c.require_same_dtype(kA, kB);
  if (!c.in(kA) || !c.in(kB)) {
    const DType dtype = c.in(c.in(kA) ? kA : kB).dtype;
    if (dtype == DType::kInt32) c.integer(kScalar, INT32_MIN, INT32_MAX);
    if (dtype == DType::kUInt8) c.integer(kScalar, 0, UINT8_MAX);
  }
  c.output(0, DType::kUInt8, broadcast_with(c, broadcast_with(c, {}, kA), kB));
}

void infer_logical(Infer& c) {
  c.require_dtype(kA, {DType::kUInt8});
  c.require_dtype(kB, {DType::kUInt8});
  infer(c);
}

// What an op is made of: comparing b with a, and the opposite result, give the ones without a kernel of their own.
struct Variant {
  Compare op;
  bool swapped = false, negated = false;
};

template <class T, class Kernel> void run(Call& c, Variant variant, Kernel kernel) {
  const T scalar = T(Compute<T>(c.number(kScalar)));
  const int first = variant.swapped ? kB : kA, second = variant.swapped ? kA : kB;
  const T* a = c.in(first) ? c.in(first).as<T>() : &scalar;
  const T* b = c.in(second) ? c.in(second).as<T>() : &scalar;
  const BroadcastLoop loop(c.out(0).shape, {c.in(first).shape, c.in(second).shape});
  const BinarySteps steps{loop.row_step(0), loop.step(0), loop.row_step(1), loop.step(1)};
  loop.run([&](const BroadcastLoop::Block& block) {
    kernel(variant.op, variant.negated, a + block.offsets[0], b + block.offsets[1], c.out(0).as<uint8_t>() + block.at,
           block.rows, block.width, steps);
  });
}

void run(Call& c, Variant variant) {
  switch (c.in(c.in(kA) ? kA : kB).dtype) {
    case DType::kFloat32: return run<float>(c, variant, SIMD_CALL(compare_f32));
    case DType::kFloat64: return run<double>(c, variant, SIMD_CALL(compare_f64));
    case DType::kInt32: return run<int32_t>(c, variant, SIMD_CALL(compare_i32));
    case DType::kUInt8: return run<uint8_t>(c, variant, SIMD_CALL(compare_u8));
    case DType::kBFloat16:
      return run<BFloat16>(c, variant,
                           [](Compare op, uint8_t negate, const BFloat16* a, const BFloat16* b, auto... rest) {
                             SIMD_CALL(compare_bf16)(op, negate, &a->bits, &b->bits, rest...);
                           });
  }
}

template <Variant variant> void cpu(Call& c) { run(c, variant); }

OpDef define(const char* name, void (*infer)(Infer&), void (*cpu)(Call&)) {
  return {
      .name = name,
      .inputs = {"a?", "b?"},
      .attributes = {"scalar"},  // the operand that is absent
      .outputs = {"result"},
      .infer = infer,
      .cpu = cpu,
  };
}

const Register ops[] = {
    Register(define("equal", infer, cpu<Variant{.op = Compare::kEqual}>)),
    Register(define("greater", infer, cpu<Variant{.op = Compare::kLess, .swapped = true}>)),
    Register(define("greater_equal", infer, cpu<Variant{.op = Compare::kLessEqual, .swapped = true}>)),
    Register(define("less", infer, cpu<Variant{.op = Compare::kLess}>)),
    Register(define("less_equal", infer, cpu<Variant{.op = Compare::kLessEqual}>)),
    Register(define("logical_and", infer_logical, cpu<Variant{.op = Compare::kAnd}>)),
    Register(define("logical_or", infer_logical, cpu<Variant{.op = Compare::kOr}>)),
    Register(define("not_equal", infer, cpu<Variant{.op = Compare::kEqual, .negated = true}>)),
};

}  // namespace
}  // namespace userllm
