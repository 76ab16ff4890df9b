// activation(gate) · up, the inside of a gated MLP. Gate and up are two tensors, or the halves of one.
//
// Shazeer, "GLU variants improve transformer", arXiv:2002.05202
#include <type_traits>

#include "core/op.h"
#include "devices/cpu/thread_pool.h"
#include "ops/gated/gated.simd.h"

namespace userllm {
namespace {

constexpr int64_t kGrain = 16384;  // elements of the result in a task

// The shape of the result. Without `up`, `gate` holds both, gate first.
Shape checked_result(Infer& c, int gate, int up) {
  c.require_float(gate);
  c.require_same_dtype(gate, up);
  c.require_rank_at_least(gate, 1, c.in(up) ? "[..., width]" : "[..., 2 · width]");
  c.require_same_shape(gate, up);
  c.integer(0, int64_t(GateActivation::kSilu), int64_t(GateActivation::kGeluTanh));
  const Shape& shape = c.shape(gate);
  if (c.in(up)) return shape;
  if (shape[-1] % 2) c.fail(c.show(gate), " must have an even width: gates, then as many ups");
  return shape.with(-1, shape[-1] / 2);
}

// The fields that both passes share.
template <class T> Gated<T> rows_of(const Call& c, const TensorRef& gate, const TensorRef& up, const Shape& result) {
  Gated<T> all{};
  all.activation = GateActivation(c.integer(0));
  all.gate = gate.as<T>();
  if (up) {  // one long row
    all.up = up.as<T>();
    all.rows = 1;
    all.width = all.stride = result.count();
  } else {
    all.rows = result.rows();
    all.width = result[-1];
    all.stride = 2 * all.width;
    all.up = all.gate + all.width;
  }
  return all;
}

template <class T, class Kernel> void in_parallel(const Gated<T>& all, const Kernel& kernel) {
  const bool by_rows = all.rows != 1;
  const auto at = [](auto* from, int64_t by) { return from ? from + by : nullptr; };
  parallel_ranges(by_rows ? all.rows : all.width, by_rows ? kGrain / (all.width + 1) + 1 : kGrain,
                  [&](int64_t begin, int64_t end) {
                    const int64_t strided = by_rows ? begin * all.stride : begin;
                    const int64_t dense = by_rows ? begin * all.width : begin;
                    Gated<T> part = all;
                    part.gate = at(all.gate, strided);
                    part.up = at(all.up, strided);
                    part.gate_grad = at(all.gate_grad, strided);
                    part.up_grad = at(all.up_grad, strided);
                    part.grad = at(all.grad, dense);
                    part.result = at(all.result, dense);
                    (by_rows ? part.rows : part.width) = end - begin;
                    kernel(part);
                  });
}

namespace forward {

enum In { kGate, kUp };

void infer(Infer& c) { c.output(0, c.in(kGate).dtype, checked_result(c, kGate, kUp)); }

template <class T, class Kernel> void run(Call& c, const Kernel& kernel) {
  Gated<T> all = rows_of<T>(c, c.in(kGate), c.in(kUp), c.out(0).shape);
  all.result = c.out(0).as<T>();
  in_parallel(all, kernel);
}

void cpu(Call& c) {
  if (c.in(kGate).dtype == DType::kFloat64)
    run<double>(c, SIMD_CALL(gated_f64));
  else
    run<float>(c, SIMD_CALL(gated_f32));
}

const Register op{{
    .name = "gated",
    .inputs = {"gate", "up?"},
    .attributes = {"activation"},
    .outputs = {"result"},
    .infer = infer,
    .cpu = cpu,
    .work = [](const Call& c) { return Work{20.0 * double(c.out(0).count())}; },
}};

}  // namespace forward

namespace backward {

enum In { kGrad, kGate, kUp };
enum Out { kGateGrad, kUpGrad };

void infer(Infer& c) {
  const Shape result = checked_result(c, kGate, kUp);
  c.require_same_dtype(kGate, kGrad);
  c.require_shape(kGrad, result, "the shape of the result");
  const DType dtype = c.in(kGate).dtype;
  c.output(kGateGrad, dtype, c.shape(kGate));
  if (c.in(kUp)) c.output(kUpGrad, dtype, c.shape(kUp));
}

template <class T, class Kernel> void run(Call& c, const Kernel& kernel) {
  Gated<T> all = rows_of<T>(c, c.in(kGate), c.in(kUp), c.in(kGrad).shape);
  all.grad = c.in(kGrad).as<T>();
  all.gate_grad = c.out(kGateGrad).as<T>();
  all.up_grad = c.in(kUp) ? c.out(kUpGrad).as<T>() : all.gate_grad ? all.gate_grad + all.width : nullptr;
  if (all.gate_grad || all.up_grad) in_parallel(all, kernel);
}

void cpu(Call& c) {
  if (c.in(kGate).dtype == DType::kFloat64)
    run<double>(c, SIMD_CALL(gated_backward_f64));
  else
    run<float>(c, SIMD_CALL(gated_backward_f32));
}

const Register op{{
    .name = "gated_backward",
    .inputs = {"grad", "gate", "up?"},
    .attributes = {"activation"},
    .outputs = {"gate_grad?", "up_grad?"},
    .infer = infer,
    .cpu = cpu,
    .work = [](const Call& c) { return Work{30.0 * double(c.in(kGrad).count())}; },
}};

}  // namespace backward

}  // namespace
}  // namespace userllm
