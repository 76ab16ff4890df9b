// What the two forms of the loss, of exact and of rounded operands, share: which rows count, and how much.
#pragma once
#include <algorithm>
#include <cstdint>

#include "core/op.h"
#include "devices/cpu/thread_pool.h"

namespace userllm {
namespace lce {

enum Reduction { kNone = 0, kSum = 1, kMean = 2 };
enum In { kX, kWeight, kBias, kShadow, kTargets, kWeights, kTargetWeights };
enum Attribute { kIgnoreIndex, kSmoothing, kSoftCap, kReduction, kPrecision };
enum Out { kLoss, kXGrad, kWeightGrad, kBiasGrad };

inline int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }
inline int64_t round_up(int64_t a, int64_t b) { return ceil_div(a, b) * b; }

// Hands out pieces of the scratch; without one it only counts.
struct Arena {
  char* base;
  size_t used = 0;
  template <class T> T* take(int64_t count) {
    T* const piece = base ? reinterpret_cast<T*>(base + used) : nullptr;
    used += (size_t(count) * sizeof(T) + 63) & ~size_t{63};
    return piece;
  }
};

// The sizes of a call, and what is wanted of it.
struct Sizes {
  int64_t rows, classes, width, targets_per_row;
  bool wants_x, wants_weight, wants_bias, backward, smooth, capped;

  explicit Sizes(const Call& c) {
    const Shape& shape = c.in(kX).shape;
    rows = shape.rows();
    width = shape[-1];
    classes = c.in(kWeight).shape[0];
    targets_per_row = c.in(kTargets).shape.rank == shape.rank ? c.in(kTargets).shape[-1] : 1;
    const bool reduces = Reduction(c.integer(kReduction)) != kNone;
    wants_x = reduces && c.wants(kXGrad);
    wants_weight = reduces && c.wants(kWeightGrad);
    wants_bias = reduces && c.wants(kBiasGrad);
    backward = wants_x || wants_weight || wants_bias;
    smooth = c.number(kSmoothing) > 0;
    capped = c.number(kSoftCap) != 0;
  }
};

template <class T> class LossRows {
 public:
  // Memory of the caller, one element for each row.
  LossRows(Call& call, const Sizes& sizes_, int32_t* active_, T* totals_, T* losses_)
      : active(active_), totals(totals_), losses(losses_), c(call), sizes(sizes_) {
    const int64_t per_row = sizes.targets_per_row;
    for (int64_t r = 0; r < sizes.rows; ++r) {
      int64_t counting = 0;
      double total = 0;
      for (int64_t at = r * per_row; at < (r + 1) * per_row; ++at) {
        if (counts(targets[at])) {
          ++counting;
          total += target_weights ? double(target_weights[at]) : 1;
        } else if (targets[at] != ignored) {
          c.index_fault(kTargets, at, targets[at], sizes.classes);
        }
      }
      losses[r] = 0;
      if (counting == 0) continue;
      totals[r] = target_weights ? T(total) : T(1);
      total_weight += double(weight_of(r));
      // A row of weight 0 is not read: it may be infinite.
      if (weight_of(r) != 0) active[count++] = int32_t(r);
    }
    if (Reduction(c.integer(kReduction)) == kMean) scale = total_weight == 0 ? T(0) : T(1 / total_weight);
  }

  int32_t* const active;  // [count] the rows that count
  T* const totals;        // of their target weights
  T* const losses;
  int64_t count = 0;

  bool counts(int64_t target) const { return target >= 0 && target < sizes.classes && target != ignored; }
  T weight_of(int64_t row) const { return weights ? weights[row] : T(1); }
  // What a row's loss counts for in the result.
  T factor_of(int64_t row) const { return scale * weight_of(row); }

  // body(place among the targets of the call, target, its weight) for the targets of a row that count.
  template <class Body> void each_target(int64_t row, const Body& body) const {
    const int64_t begin = row * sizes.targets_per_row, end = begin + sizes.targets_per_row;
    T counting = 1;
    if (!target_weights)
      counting = T(std::count_if(targets + begin, targets + end, [&](int32_t target) { return counts(target); }));
    for (int64_t at = begin; at < end; ++at)
      if (counts(targets[at])) body(at, int64_t{targets[at]}, target_weights ? target_weights[at] : 1 / counting);
  }

  // Gradients of what does not count.
  void clear_gradients() const {
    const auto clear = [](T* to, int64_t elements) {
      parallel_ranges(elements, 1 << 15, [&](int64_t begin, int64_t end) { std::fill(to + begin, to + end, T(0)); });
    };
    if (sizes.wants_x && count < sizes.rows) clear(c.out(kXGrad).as<T>(), sizes.rows * sizes.width);
    if (count > 0) return;
    if (sizes.wants_weight) clear(c.out(kWeightGrad).as<T>(), sizes.classes * sizes.width);
    if (sizes.wants_bias) clear(c.out(kBiasGrad).as<T>(), sizes.classes);
  }

  void finish() const {
    T* const loss = c.out(kLoss).as<T>();
    const auto reduction = Reduction(c.integer(kReduction));
    if (reduction == kNone) {
      std::copy(losses, losses + sizes.rows, loss);
      return;
    }
    double sum = 0;
    for (int64_t i = 0; i < count; ++i) sum += double(losses[active[i]]);
    if (reduction == kMean) sum = total_weight == 0 ? 0 : sum / total_weight;
    *loss = T(sum);
  }

 private:
  Call& c;
  const Sizes sizes;
  const int32_t* const targets = c.in(kTargets).as<int32_t>();
  const T* const weights = c.in(kWeights).as<T>();
  const T* const target_weights = c.in(kTargetWeights).as<T>();
  const int64_t ignored = c.integer(kIgnoreIndex);
  double total_weight = 0;  // of the rows that count
  T scale = 1;              // of every row: the mean's
};

// The loss of rounded operands: see linear_cross_entropy_bf16.cpp.
size_t bf16_scratch_bytes(const Call& c);
void run_bf16(Call& c);

}  // namespace lce
}  // namespace userllm
