// Cross-entropy of logits [..., classes] with target classes, without materialising probabilities:
//
//     l = log(sum(exp(x))) - (1 - smoothing) x[target] - smoothing mean(x)
//
// A row counts when its target is not the ignored one. The mean is over the weights of the rows that count.
#include "core/op.h"
#include "devices/cpu/thread_pool.h"
#include "ops/cross_entropy/cross_entropy.simd.h"

namespace userllm {
namespace {

enum Reduction { kNone = 0, kSum = 1, kMean = 2 };

template <class T> struct Kernels {
  void (*log_sum_exp)(const T*, int64_t, T*, T*);
  T (*sum_of_differences)(const T*, T, int64_t);
  void (*backward_row)(const T*, T, T, T, T*, int64_t);
};
Kernels<float> kernels(float) {
  return {SIMD_CALL(log_sum_exp_f32), SIMD_CALL(sum_of_differences_f32), SIMD_CALL(cross_entropy_backward_row_f32)};
}
Kernels<double> kernels(double) {
  return {SIMD_CALL(log_sum_exp_f64), SIMD_CALL(sum_of_differences_f64), SIMD_CALL(cross_entropy_backward_row_f64)};
}

// Rows of one task: enough work to be worth claiming, whatever the number of classes.
int64_t grain(int64_t classes) { return classes >= 16384 ? 1 : 16384 / (classes + 1) + 1; }

void require_rows(Infer& c, int logits, int targets, int weights) {
  c.require_float(logits);
  c.require_dtype(targets, {DType::kInt32});
  c.require_same_dtype(logits, weights);
  c.require_rank_at_least(logits, 1, "[..., classes]");
  const Shape rows = c.shape(logits).without(-1);
  c.require_shape(targets, rows, "one target for each row of logits");
  c.require_shape(weights, rows, "one weight for each row of logits");
}

namespace forward {

enum In { kLogits, kTargets, kWeights };
enum Attribute { kIgnoreIndex, kSmoothing, kReduction };
enum Out { kLoss, kLogSumExp, kTotalWeight };

void infer(Infer& c) {
  require_rows(c, kLogits, kTargets, kWeights);
  c.integer(kIgnoreIndex, INT32_MIN, INT32_MAX);
  c.number(kSmoothing, 0, 1);
  const auto reduction = c.integer(kReduction, kNone, kMean);
  const DType dtype = c.in(kLogits).dtype;
  const Shape rows = c.shape(kLogits).without(-1);
  c.output(kLoss, dtype, reduction == kNone ? rows : Shape{});
  c.output(kLogSumExp, dtype, rows);
  if (reduction == kMean) c.output(kTotalWeight, dtype, {});
  if (reduction != kNone) c.scratch(size_t(rows.count()) * size_of(dtype));
}

template <class T> void run(Call& c) {
  const Kernels<T> kernel = kernels(T());
  const int64_t rows = c.in(kTargets).count(), classes = c.in(kLogits).shape[-1], ignored = c.integer(kIgnoreIndex);
  const T smoothing = T(c.number(kSmoothing)), per_class = classes ? smoothing / T(classes) : 0;
  const auto reduction = Reduction(c.integer(kReduction));
  const int32_t* targets = c.in(kTargets).as<int32_t>();
  const T *logits = c.in(kLogits).as<T>(), *weights = c.in(kWeights).as<T>();
  T *losses = reduction == kNone ? c.out(kLoss).as<T>() : c.scratch<T>(), *log_sum_exp = c.out(kLogSumExp).as<T>();

  parallel_ranges(rows, grain(classes), [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) {
      const int64_t target = targets[r];
      const bool inside = target >= 0 && target < classes;
      if (!inside && target != ignored) c.index_fault(kTargets, r, target, classes);
      losses[r] = 0;
      if (log_sum_exp) log_sum_exp[r] = 0;
      // A row of weight 0 is not read: its logits may be infinite.
      if (!inside || target == ignored || (weights && weights[r] == 0)) continue;
      const T* x = logits + r * classes;
      T max, log_sum;
      kernel.log_sum_exp(x, classes, &max, &log_sum);
      T loss = log_sum - (1 - smoothing) * (x[target] - max);
      if (smoothing > 0) loss -= per_class * kernel.sum_of_differences(x, max, classes);
      losses[r] = weights ? weights[r] * loss : loss;
      if (log_sum_exp) log_sum_exp[r] = max + log_sum;
    }
  });
  if (reduction == kNone) return;

  double sum = 0, total_weight = 0;
  for (int64_t r = 0; r < rows; ++r) {
    if (targets[r] == ignored) continue;
    sum += double(losses[r]);
    total_weight += weights ? double(weights[r]) : 1;
  }
  if (reduction == kMean) {
    sum = total_weight == 0 ? 0 : sum / total_weight;
    if (T* out = c.out(kTotalWeight).as<T>()) *out = T(total_weight);
  }
  *c.out(kLoss).as<T>() = T(sum);
}

const Register op{{
    .name = "cross_entropy",
    .inputs = {"logits", "targets", "weights?"},
    .attributes = {"ignore_index", "label_smoothing", "reduction"},
    .outputs = {"loss", "log_sum_exp?", "total_weight?"},
    .infer = infer,
    .cpu = [](Call& c) { c.in(kLogits).dtype == DType::kFloat64 ? run<double>(c) : run<float>(c); },
    .work = [](const Call& c) { return Work{4.0 * double(c.in(kLogits).count())}; },
}};

}  // namespace forward

namespace backward {

enum In { kGrad, kLogits, kTargets, kLogSumExp, kWeights, kTotalWeight };
enum Attribute { kIgnoreIndex, kSmoothing };

void infer(Infer& c) {
  require_rows(c, kLogits, kTargets, kWeights);
  c.integer(kIgnoreIndex, INT32_MIN, INT32_MAX);
  c.number(kSmoothing, 0, 1);
  const Shape rows = c.shape(kLogits).without(-1);
  for (const int i : {kGrad, kLogSumExp, kTotalWeight}) c.require_same_dtype(kLogits, i);
  if (c.shape(kGrad).rank) c.require_shape(kGrad, rows, "the shape of the loss");
  c.require_shape(kLogSumExp, rows, "one for each row of logits");
  c.require_shape(kTotalWeight, {}, "a scalar");
  c.output(0, c.in(kLogits).dtype, c.shape(kLogits));
}

template <class T> void run(Call& c) {
  const Kernels<T> kernel = kernels(T());
  const int64_t rows = c.in(kTargets).count(), classes = c.in(kLogits).shape[-1], ignored = c.integer(kIgnoreIndex);
  const T smoothing = T(c.number(kSmoothing)), per_class = classes ? smoothing / T(classes) : 0;
  const int32_t* targets = c.in(kTargets).as<int32_t>();
  const T *grad = c.in(kGrad).as<T>(), *logits = c.in(kLogits).as<T>(), *log_sum_exp = c.in(kLogSumExp).as<T>();
  const T *weights = c.in(kWeights).as<T>(), *total_weight = c.in(kTotalWeight).as<T>();
  const int64_t grad_stride = c.in(kGrad).shape.rank ? 1 : 0;
  const T normalised = !total_weight ? T(1) : *total_weight == 0 ? T(0) : 1 / *total_weight;
  T* logits_grad = c.out(0).as<T>();

  parallel_ranges(rows, grain(classes), [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) {
      const int64_t target = targets[r];
      const bool inside = target >= 0 && target < classes;
      if (!inside && target != ignored) c.index_fault(kTargets, r, target, classes);
      T* dx = logits_grad + r * classes;
      const T scale = grad[r * grad_stride] * normalised * (weights ? weights[r] : 1);
      if (!inside || target == ignored || scale == 0) {
        for (int64_t i = 0; i < classes; ++i) dx[i] = 0;
        continue;
      }
      kernel.backward_row(logits + r * classes, log_sum_exp[r], scale, per_class, dx, classes);
      dx[target] -= scale * (1 - smoothing);
    }
  });
}

const Register op{{
    .name = "cross_entropy_backward",
    .inputs = {"grad", "logits", "targets", "log_sum_exp", "weights?", "total_weight?"},
    .attributes = {"ignore_index", "label_smoothing"},
    .outputs = {"logits_grad"},
    .infer = infer,
    .cpu = [](Call& c) { c.in(kLogits).dtype == DType::kFloat64 ? run<double>(c) : run<float>(c); },
    .work = [](const Call& c) { return Work{4.0 * double(c.in(kLogits).count())}; },
}};

}  // namespace backward

}  // namespace
}  // namespace userllm
