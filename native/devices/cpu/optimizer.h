// What the optimizers' scalars have in common: row r of `scalars` belongs to the tensors whose `rows` entry
// is r.
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

}  // namespace userllm
