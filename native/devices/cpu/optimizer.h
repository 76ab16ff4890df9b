// What the optimizers have in common.
//
// Row r of `scalars` belongs to the tensors whose `rows` entry is r. Shadow k is the bfloat16 copy of parameter
// `shadow_of[k]`; parameters without one are not in the list. Steps are counted where they happen, so that a step
// which a failed gradient prevents does not count.
#pragma once
#include "core/op.h"

namespace userllm {

// The first columns of every optimizer's scalars.
enum OptimizerColumn { kGradientScale, kClipNorm, kLearningRate, kWeightDecay, kFirstOwnColumn };

// scalars is float64 [rows, columns], `rows` names one row for each tensor of the list, norm has one element.
void require_optimizer_scalars(const Infer& c, int list, int scalars, int norm, int rows, int columns);

// What gradients are multiplied with: their scale, and, given the norm of all unscaled gradients,
// min(1, clip / (scaled norm + 1e-6)). A norm that is NaN makes it NaN, as PyTorch's.
double gradient_factor(const double* row, const TensorRef& norm);

// steps holds one float32 number for each parameter: exact up to 16,777,216, where it stays.
void require_steps(const Infer& c, int list, int steps);
// The number of the step that is being taken, from 1 on.
inline double next_step(const Call& c, int steps, size_t i) { return double(*c.list(steps)[i].as<float>()) + 1; }
void count_steps(const Call& c, int steps);

// `shadow_of` ascends, and each shadow has the shape of its parameter, which is float32.
void require_shadows(const Infer& c, int list, int shadows, int shadow_of);

// Rounds what a step has just written, while it is in the cache.
class Shadows {
 public:
  Shadows(const Call& c, int shadows, int shadow_of) : shadows_(c.list(shadows)), shadow_of_(c.numbers(shadow_of)) {}

  // Elements [from, from + count) of parameter i have changed.
  void update(const TensorRef& parameter, size_t i, int64_t from, int64_t count) const;

  size_t bytes() const;

 private:
  std::span<const TensorRef> shadows_;
  std::span<const double> shadow_of_;
};

}  // namespace userllm
