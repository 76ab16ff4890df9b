// Weighted means of many tensors over several calls: sums and their weight grow in place, then one division.
#include "core/op.h"
#include "devices/cpu/tensor_list.h"
#include "ops/accumulate_weighted/accumulate_weighted.simd.h"

namespace userllm {
namespace {

void require_scalar(const Infer& c, int i) {
  if (c.in(i).count() != 1) c.fail(c.show(i), " must have one element");
}

namespace accumulate {

enum In { kTargets, kValues, kTotal, kWeight };

void infer(Infer& c) {
  require_one_float_dtype(c, kTargets);
  require_same_list(c, kTargets, kValues);
  c.require_dtype(kTotal, {DType::kFloat64});
  c.require_dtype(kWeight, {DType::kFloat32, DType::kFloat64, DType::kInt32});
  require_scalar(c, kTotal);
  require_scalar(c, kWeight);
  require_no_shared_memory(c, {kTargets, kTotal}, {kValues, kWeight});
  c.scratch(TensorList::scratch_bytes(c.list(kTargets)));
}

double weight_of(const TensorRef& t) {
  switch (t.dtype) {
    case DType::kFloat64: return *t.as<double>();
    case DType::kInt32: return *t.as<int32_t>();
    default: return double(*t.as<float>());
  }
}

template <class T, class Add> void add(Call& c, double weight, Add add_weighted) {
  const auto targets = c.list(kTargets), values = c.list(kValues);
  const TensorList list(targets, c.scratch<int64_t>());
  list.for_pieces([&](int64_t, size_t i, int64_t from, int64_t count) {
    add_weighted(targets[i].as<T>() + from, values[i].as<T>() + from, count, weight);
  });
}

void cpu(Call& c) {
  const double weight = weight_of(c.in(kWeight));
  if (weight == 0) return;  // the mean over nothing is NaN, and counts nothing
  *c.in(kTotal).as<double>() += weight;
  if (c.list(kTargets).empty()) return;
  if (c.in(kTargets).dtype == DType::kFloat64)
    add<double>(c, weight, SIMD_CALL(add_weighted_f64));
  else
    add<float>(c, weight, SIMD_CALL(add_weighted_f32));
}

const Register op{{
    .name = "accumulate_weighted",
    .inputs = {"targets*", "values*", "total", "weight"},
    .infer = infer,
    .cpu = cpu,
    .work =
        [](const Call& c) {
          double elements = 0, bytes = 0;
          for (const TensorRef& t : c.list(kTargets)) elements += double(t.count()), bytes += double(t.bytes());
          return Work{2 * elements, 3 * bytes};
        },
    .mutates = {kTargets, kTotal},
}};

}  // namespace accumulate

namespace divide {

enum In { kTargets, kDivisor };

void infer(Infer& c) {
  require_one_float_dtype(c, kTargets);
  c.require_dtype(kDivisor, {DType::kFloat64});
  require_scalar(c, kDivisor);
  require_no_shared_memory(c, {kTargets}, {kDivisor});
  c.scratch(TensorList::scratch_bytes(c.list(kTargets)));
}

template <class T, class Divide> void divide(Call& c, double divisor, Divide divide_all) {
  const auto targets = c.list(kTargets);
  const TensorList list(targets, c.scratch<int64_t>());
  list.for_pieces(
      [&](int64_t, size_t i, int64_t from, int64_t count) { divide_all(targets[i].as<T>() + from, count, divisor); });
}

void cpu(Call& c) {
  const double divisor = *c.in(kDivisor).as<double>();
  if (divisor == 0 || c.list(kTargets).empty()) return;  // nothing was counted: the sums are zero
  if (c.in(kTargets).dtype == DType::kFloat64)
    divide<double>(c, divisor, SIMD_CALL(divide_f64));
  else
    divide<float>(c, divisor, SIMD_CALL(divide_f32));
}

const Register op{{
    .name = "divide_by",
    .inputs = {"targets*", "divisor"},
    .infer = infer,
    .cpu = cpu,
    .work =
        [](const Call& c) {
          double elements = 0, bytes = 0;
          for (const TensorRef& t : c.list(kTargets)) elements += double(t.count()), bytes += double(t.bytes());
          return Work{elements, 2 * bytes};
        },
    .mutates = {kTargets},
}};

}  // namespace divide

}  // namespace
}  // namespace userllm
