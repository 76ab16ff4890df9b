// The Euclidean norm of many tensors taken together, and the scaling that brings a gradient below a limit of
// it.
#include <cmath>

#include "core/op.h"
#include "devices/cpu/sum_of_squares.simd.h"
#include "devices/cpu/tensor_list.h"
#include "ops/global_norm/global_norm.simd.h"

namespace userllm {
namespace {

namespace norm {

enum In { kGradients };

void infer(Infer& c) {
  require_one_float_dtype(c, kGradients);
  const auto gradients = c.list(kGradients);
  c.output(0, gradients.empty() ? DType::kFloat32 : gradients[0].dtype, {});
  c.scratch(TensorList::scratch_bytes(gradients) + size_t(TensorList::tasks(gradients)) * sizeof(double));
}

template <class T, class SumOfSquares> double sum_of_all(Call& c, SumOfSquares sum_of_squares) {
  const auto gradients = c.list(kGradients);
  auto* const sums = c.scratch<double>();
  const int64_t tasks = TensorList::tasks(gradients);
  const TensorList list(gradients, reinterpret_cast<int64_t*>(sums + tasks));
  for (int64_t task = 0; task < tasks; ++task) sums[task] = 0;
  list.for_pieces([&](int64_t task, size_t i, int64_t from, int64_t count) {
    sums[task] += sum_of_squares(gradients[i].as<T>() + from, count);
  });
  double sum = 0;
  for (int64_t task = 0; task < tasks; ++task) sum += sums[task];
  return sum;
}

void cpu(Call& c) {
  if (c.out(0).dtype == DType::kFloat64)
    *c.out(0).as<double>() = std::sqrt(sum_of_all<double>(c, SIMD_CALL(sum_of_squares_f64)));
  else
    *c.out(0).as<float>() = float(std::sqrt(sum_of_all<float>(c, SIMD_CALL(sum_of_squares_f32))));
}

const Register op{{
    .name = "global_norm",
    .inputs = {"gradients*"},
    .outputs = {"result"},
    .infer = infer,
    .cpu = cpu,
    .work =
        [](const Call& c) {
          double elements = 0;
          for (const TensorRef& t : c.list(kGradients)) elements += double(t.count());
          return Work{2 * elements};
        },
}};

}  // namespace norm

namespace clip {

enum In { kX, kNorm, kLimit };

void infer(Infer& c) {
  c.require_float(kX);
  c.require_float(kNorm);
  c.require_dtype(kLimit, {DType::kFloat64});
  for (const int i : {kNorm, kLimit})
    if (c.in(i).count() != 1) c.fail(c.show(i), " must have one element");
  c.output(0, c.in(kX).dtype, c.shape(kX));
}

void cpu(Call& c) {
  const TensorRef &x = c.in(kX), &norm = c.in(kNorm), &y = c.out(0);
  const double whole = norm.dtype == DType::kFloat64 ? *norm.as<double>() : double(*norm.as<float>());
  const double ratio = *c.in(kLimit).as<double>() / (whole + 1e-6);
  const double factor = ratio > 1 ? 1 : ratio;  // NaN stays NaN
  parallel_ranges(x.count(), 1 << 14, [&](int64_t begin, int64_t end) {
    if (x.dtype == DType::kFloat64)
      SIMD_CALL(multiply_f64)(x.as<double>() + begin, y.as<double>() + begin, end - begin, factor);
    else
      SIMD_CALL(multiply_f32)(x.as<float>() + begin, y.as<float>() + begin, end - begin, factor);
  });
}

const Register op{{
    .name = "clip_by_norm",
    .inputs = {"x", "norm", "limit"},
    .outputs = {"result"},
    .infer = infer,
    .cpu = cpu,
    .work = [](const Call& c) { return Work{double(c.in(kX).count())}; },
}};

}  // namespace clip

}  // namespace
}  // namespace userllm
