// One AdamW step over many parameters, in place and in one pass over each.
#include <cmath>

#include "core/op.h"
#include "devices/cpu/optimizer.h"
#include "devices/cpu/tensor_list.h"
#include "ops/adamw/adamw.simd.h"

namespace userllm {
namespace {

enum In { kParameters, kGradients, kFirst, kSecond, kSteps, kShadows, kScalars, kNorm };
enum Attribute { kRows, kShadowOf };
enum Column { kBeta1 = kFirstOwnColumn, kBeta2, kEps, kColumns };

void infer(Infer& c) {
  require_one_float_dtype(c, kParameters);
  for (const int i : {kGradients, kFirst, kSecond}) require_same_list(c, kParameters, i);
  require_steps(c, kParameters, kSteps);
  require_shadows(c, kParameters, kShadows, kShadowOf);
  require_no_shared_memory(c, {kParameters, kFirst, kSecond, kSteps, kShadows}, {kGradients, kScalars, kNorm});
  require_optimizer_scalars(c, kParameters, kScalars, kNorm, kRows, kColumns);
  c.scratch(TensorList::scratch_bytes(c.list(kParameters)));
}

AdamWNumbers numbers_of(const double* row, const TensorRef& norm, double step) {
  return {
      .gradient_factor = gradient_factor(row, norm),
      .keep = 1 - row[kLearningRate] * row[kWeightDecay],
      .beta1 = row[kBeta1],
      .beta2 = row[kBeta2],
      .eps = row[kEps],
      .step_size = row[kLearningRate] / (1 - std::pow(row[kBeta1], step)),
      .root_scale = 1 / std::sqrt(1 - std::pow(row[kBeta2], step)),
  };
}

template <class T, class Step> void adamw(Call& c, Step step) {
  const auto parameters = c.list(kParameters), gradients = c.list(kGradients);
  const auto first = c.list(kFirst), second = c.list(kSecond);
  const Shadows shadows(c, kShadows, kShadowOf);
  const TensorList list(parameters, c.scratch<int64_t>());
  list.for_pieces([&](int64_t, size_t i, int64_t from, int64_t count) {
    const double* row = c.in(kScalars).as<double>() + int64_t(c.numbers(kRows)[i]) * kColumns;
    const AdamWNumbers numbers = numbers_of(row, c.in(kNorm), next_step(c, kSteps, i));
    step(parameters[i].as<T>() + from, gradients[i].as<T>() + from, first[i].as<T>() + from, second[i].as<T>() + from,
         count, &numbers);
    shadows.update(parameters[i], i, from, count);
  });
  count_steps(c, kSteps);
}

void adamw_cpu(Call& c) {
  if (c.in(kParameters).dtype == DType::kFloat64)
    adamw<double>(c, SIMD_CALL(adamw_f64));
  else
    adamw<float>(c, SIMD_CALL(adamw_f32));
}

const Register op{{
    .name = "adamw",
    .inputs = {"parameters*", "gradients*", "first*", "second*", "steps*", "shadows*", "scalars", "norm?"},
    .attributes = {"rows*", "shadow_of*"},
    .infer = infer,
    .cpu = adamw_cpu,
    .work =
        [](const Call& c) {
          double elements = 0, bytes = 0;
          for (const TensorRef& t : c.list(kParameters)) elements += double(t.count()), bytes += double(t.bytes());
          return Work{14 * elements, 7 * bytes + double(Shadows(c, kShadows, kShadowOf).bytes())};
        },
    .mutates = {kParameters, kFirst, kSecond, kSteps, kShadows},
    .on_fault = OnFault::kKeep,
}};

}  // namespace
}  // namespace userllm
