// One step of stochastic gradient descent over many parameters, in place and in one pass over each.
#include "core/op.h"
#include "devices/cpu/optimizer.h"
#include "devices/cpu/tensor_list.h"
#include "ops/sgd/sgd.simd.h"

namespace userllm {
namespace {

enum In { kParameters, kGradients, kMomentum, kShadows, kScalars, kNorm };
enum Attribute { kNesterov, kRows, kShadowOf };
enum Column { kPersistence = kFirstOwnColumn, kColumns };

void infer(Infer& c) {
  require_one_float_dtype(c, kParameters);
  require_same_list(c, kParameters, kGradients);
  if (!c.list(kMomentum).empty()) require_same_list(c, kParameters, kMomentum);
  require_shadows(c, kParameters, kShadows, kShadowOf);
  require_no_shared_memory(c, {kParameters, kMomentum, kShadows}, {kGradients, kScalars, kNorm});
  c.flag(kNesterov);
  require_optimizer_scalars(c, kParameters, kScalars, kNorm, kRows, kColumns);
  c.scratch(TensorList::scratch_bytes(c.list(kParameters)));
}

template <class T, class Step> void sgd(Call& c, Step step) {
  const auto parameters = c.list(kParameters), gradients = c.list(kGradients), momentum = c.list(kMomentum);
  const Shadows shadows(c, kShadows, kShadowOf);
  const TensorList list(parameters, c.scratch<int64_t>());
  list.for_pieces([&](int64_t, size_t i, int64_t from, int64_t count) {
    const double* row = c.in(kScalars).as<double>() + int64_t(c.numbers(kRows)[i]) * kColumns;
    const SgdNumbers numbers{
        .gradient_factor = gradient_factor(row, c.in(kNorm)),
        .learning_rate = row[kLearningRate],
        .weight_decay = row[kWeightDecay],
        .momentum = row[kPersistence],
        .nesterov = c.flag(kNesterov),
    };
    step(parameters[i].as<T>() + from, gradients[i].as<T>() + from,
         momentum.empty() ? nullptr : momentum[i].as<T>() + from, count, &numbers);
    shadows.update(parameters[i], i, from, count);
  });
}

void sgd_cpu(Call& c) {
  if (c.in(kParameters).dtype == DType::kFloat64)
    sgd<double>(c, SIMD_CALL(sgd_f64));
  else
    sgd<float>(c, SIMD_CALL(sgd_f32));
}

const Register op{{
    .name = "sgd",
    .inputs = {"parameters*", "gradients*", "momentum*", "shadows*", "scalars", "norm?"},
    .attributes = {"nesterov", "rows*", "shadow_of*"},
    .infer = infer,
    .cpu = sgd_cpu,
    .work =
        [](const Call& c) {
          double elements = 0, bytes = 0;
          for (const TensorRef& t : c.list(kParameters)) elements += double(t.count()), bytes += double(t.bytes());
          return Work{8 * elements,
                      (c.list(kMomentum).empty() ? 3 : 5) * bytes + double(Shadows(c, kShadows, kShadowOf).bytes())};
        },
    .mutates = {kParameters, kMomentum, kShadows},
    .on_fault = OnFault::kKeep,
}};

}  // namespace
}  // namespace userllm
