// One Lion step over many parameters, in place and in one pass over each.
#include "core/op.h"
#include "devices/cpu/optimizer.h"
#include "devices/cpu/tensor_list.h"
#include "ops/lion/lion.simd.h"

namespace userllm {
namespace {

enum In { kParameters, kGradients, kMomentum, kShadows, kScalars, kNorm };
enum Attribute { kRows, kShadowOf };
enum Column { kBeta1 = kFirstOwnColumn, kBeta2, kColumns };

void infer(Infer& c) {
  require_one_float_dtype(c, kParameters);
  for (const int i : {kGradients, kMomentum}) require_same_list(c, kParameters, i);
  require_shadows(c, kParameters, kShadows, kShadowOf);
  require_no_shared_memory(c, {kParameters, kMomentum, kShadows}, {kGradients, kScalars, kNorm});
  require_optimizer_scalars(c, kParameters, kScalars, kNorm, kRows, kColumns);
  c.scratch(TensorList::scratch_bytes(c.list(kParameters)));
}

template <class T, class Step> void lion(Call& c, Step step) {
  const auto parameters = c.list(kParameters), gradients = c.list(kGradients), momentum = c.list(kMomentum);
  const Shadows shadows(c, kShadows, kShadowOf);
  const TensorList list(parameters, c.scratch<int64_t>());
  list.for_pieces([&](int64_t, size_t i, int64_t from, int64_t count) {
    const double* row = c.in(kScalars).as<double>() + int64_t(c.numbers(kRows)[i]) * kColumns;
    const LionNumbers numbers{
        .gradient_factor = gradient_factor(row, c.in(kNorm)),
        .keep = 1 - row[kLearningRate] * row[kWeightDecay],
        .learning_rate = row[kLearningRate],
        .beta1 = row[kBeta1],
        .beta2 = row[kBeta2],
    };
    step(parameters[i].as<T>() + from, gradients[i].as<T>() + from, momentum[i].as<T>() + from, count, &numbers);
    shadows.update(parameters[i], i, from, count);
  });
}

void lion_cpu(Call& c) {
  if (c.in(kParameters).dtype == DType::kFloat64)
    lion<double>(c, SIMD_CALL(lion_f64));
  else
    lion<float>(c, SIMD_CALL(lion_f32));
}

const Register op{{
    .name = "lion",
    .inputs = {"parameters*", "gradients*", "momentum*", "shadows*", "scalars", "norm?"},
    .attributes = {"rows*", "shadow_of*"},
    .infer = infer,
    .cpu = lion_cpu,
    .work =
        [](const Call& c) {
          double elements = 0, bytes = 0;
          for (const TensorRef& t : c.list(kParameters)) elements += double(t.count()), bytes += double(t.bytes());
          return Work{9 * elements, 5 * bytes + double(Shadows(c, kShadows, kShadowOf).bytes())};
        },
    .mutates = {kParameters, kMomentum, kShadows},
    .on_fault = OnFault::kKeep,
}};

}  // namespace
}  // namespace userllm
