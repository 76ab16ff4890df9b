// Softmax cross-entropy of x · weightᵀ + bias, and its gradients for an upstream gradient of 1, without the logits:
//
//     l = w (t log(sum(exp(z))) - (1 - smoothing) sum(t[target] z[target]) - smoothing t mean(z))
//
// for each row, with t the sum of its target weights. Rows pass in chunks. Each chunk meets the classes in blocks,
// which are the tasks: a block makes its exponentials less a maximum of its own, their sums, and their product with the
// weight, while the scores are in registers or cache. Then the blocks of a row are put together in order, and each
// block adds the exponentials' product with x, times what the row's maximum, sum and weight turned out to be, to its
// gradient.
//
// The exponentials of a chunk are kept between the two. Where there are too many classes for that, or smoothing meets a
// soft cap, so that probabilities are wanted rather than exponentials, the second step makes them again.
#include <algorithm>
#include <cmath>

#include "core/op.h"
#include "devices/cpu/gemm/precision.h"
#include "devices/cpu/thread_pool.h"
#include "ops/linear_cross_entropy/linear_cross_entropy.simd.h"
#include "ops/linear_cross_entropy/loss_rows.h"

namespace userllm {
namespace lce {
namespace {

constexpr int64_t kKeptBytes = int64_t{42'000'000};  // of exponentials
constexpr int64_t kPartBytes = int64_t{12'000'000};  // of the blocks' gradients of x
constexpr int64_t kRowBytes = int64_t{512} << 10;    // of a chunk of x
constexpr int64_t kMaxChunk = 1536, kUsualChunk = 192, kMaxBlocks = 32, kBlockTiles = 4;
constexpr int64_t kEnoughBlocks = 16;  // fewer are cut by strips too
constexpr int64_t kRowGrain = 8;

template <class T> struct Kernels {
  void (*pack_rows)(const T*, const int32_t*, int64_t, int64_t, T*);
  void (*scores)(const LceBlock<T>&, int64_t, int64_t);
  void (*scale_rows)(const T*, const int32_t*, const T*, int64_t, int64_t, T*);
  void (*weight_grad)(const LceBlock<T>&);
  void (*recompute)(const LceBlock<T>&);
  T (*score)(const T*, const T*, T, T, int64_t);
  void (*combine)(const T*, int64_t, const T*, int64_t, int64_t, T*, int64_t);
  void (*add_scaled)(const T*, T, T*, int64_t);
};
Kernels<float> kernels(float) {
  return {SIMD_CALL(lce_pack_rows_f32),   SIMD_CALL(lce_scores_f32),    SIMD_CALL(lce_scale_rows_f32),
          SIMD_CALL(lce_weight_grad_f32), SIMD_CALL(lce_recompute_f32), SIMD_CALL(lce_score_f32),
          SIMD_CALL(lce_combine_f32),     SIMD_CALL(lce_add_scaled_f32)};
}
Kernels<double> kernels(double) {
  return {SIMD_CALL(lce_pack_rows_f64),   SIMD_CALL(lce_scores_f64),    SIMD_CALL(lce_scale_rows_f64),
          SIMD_CALL(lce_weight_grad_f64), SIMD_CALL(lce_recompute_f64), SIMD_CALL(lce_score_f64),
          SIMD_CALL(lce_combine_f64),     SIMD_CALL(lce_add_scaled_f64)};
}

// How a call is cut, which its shape alone decides, and where its scratch lies.
template <class T> struct Plan : Sizes {
  int64_t padded_width, slots;
  bool kept;   // the exponentials of a chunk
  bool twice;  // they are made again for the gradients
  int64_t chunk, blocks, padded_classes;
  size_t bytes;

  int32_t* active;                             // [rows] those that count
  T* totals;                                   // [rows] sums of target weights
  T* losses;                                   // [rows]
  T* x;                                        // the chunk in panels
  T *maxima, *sums, *score_sums, *factors;     // [blocks, chunk]
  T* log_sums;                                 // [chunk] of the sums less the row's maximum
  T* target_terms;                             // [chunk, targets per row]: what a target takes from the gradient
  T* parts;                                    // [blocks, chunk, padded width] of the gradient of x
  T* exponentials;                             // all, or each slot's
  T* scaled_x;                                 // each slot's
  T *weight_sums, *weight_sum, *weight_start;  // [blocks, width], [width], [width]
  int64_t exponentials_per_slot;

  Plan(const Call& c, char* scratch) : Sizes(c) {
    padded_width = round_up(width, kPanelWidth);
    padded_classes = round_up(classes, kTileClasses);
    slots = thread_count();

    constexpr int64_t kElement = sizeof(T);
    const int64_t by_rows = std::clamp(kRowBytes / (width * kElement + 1), kUsualChunk, kMaxChunk);
    const int64_t by_exponentials = kKeptBytes / (padded_classes * kElement + 1);
    kept = (wants_weight || wants_bias) && by_exponentials >= kStripRows && !(smooth && capped);
    twice = backward && !kept && (wants_weight || wants_bias || (smooth && capped));
    chunk =
        std::min(by_rows, kept ? by_exponentials : std::max(kUsualChunk, by_exponentials)) / kStripRows * kStripRows;
    chunk = std::clamp(round_up(rows, kStripRows), kStripRows, chunk);
    const int64_t tiles = padded_classes / kTileClasses;
    blocks = std::clamp(kPartBytes / (chunk * padded_width * kElement + 1), int64_t{4}, kMaxBlocks);
    blocks = std::clamp(ceil_div(tiles, kBlockTiles), int64_t{1}, blocks);

    Arena arena{scratch};
    active = arena.take<int32_t>(rows);
    totals = arena.take<T>(rows);
    losses = arena.take<T>(rows);
    x = arena.take<T>(chunk * width);
    maxima = arena.take<T>(blocks * chunk);
    sums = arena.take<T>(blocks * chunk);
    score_sums = arena.take<T>(smooth ? blocks * chunk : 0);
    factors = arena.take<T>(backward ? blocks * chunk : 0);
    log_sums = arena.take<T>(chunk);
    target_terms = arena.take<T>(backward ? chunk * targets_per_row : 0);
    parts = arena.take<T>(wants_x ? blocks * chunk * padded_width : 0);
    const int64_t group = lce_group_classes(width, kElement);
    exponentials_per_slot = kept || !backward ? 0 : (twice ? chunk : kStripRows) * group;
    exponentials = arena.take<T>(kept ? chunk * padded_classes : slots * exponentials_per_slot);
    scaled_x = arena.take<T>(wants_weight ? slots * chunk * padded_width : 0);
    weight_sums = arena.take<T>(smooth && wants_x ? blocks * width : 0);
    weight_sum = arena.take<T>(smooth && wants_x ? width : 0);
    weight_start = arena.take<T>(backward ? width : 0);
    bytes = arena.used;
  }

  int64_t first_class(int64_t block) const {
    return std::min(classes, padded_classes / kTileClasses * block / blocks * kTileClasses);
  }
};

void infer(Infer& c) {
  c.require_float(kX);
  const bool rounds = require_precision(c, kX, kWeight, kShadow, kPrecision);
  for (const int i : {kBias, kWeights, kTargetWeights}) c.require_same_dtype(kX, i);
  c.require_dtype(kTargets, {DType::kInt32});
  c.require_rank_at_least(kX, 1, "[..., width]");
  c.require_rank(kWeight, 2, "[classes, width]");
  c.require_same(kX, -1, kWeight, 1, "width");
  c.require_shape(kBias, {c.shape(kWeight)[0]}, "one for each class");
  const Shape rows = c.shape(kX).without(-1), &targets = c.shape(kTargets);
  const bool several = targets.rank == rows.rank + 1 && targets.without(-1) == rows;
  if (!several) c.require_shape(kTargets, rows, "one target for each row of x, or several in a last dimension");
  c.require_shape(kWeights, rows, "one weight for each row of x");
  c.require_same_shape(kTargetWeights, kTargets);
  if (rows.count() > INT32_MAX) c.fail(c.show(kX), " has too many rows: at most ", INT32_MAX);

  c.integer(kIgnoreIndex, INT32_MIN, INT32_MAX);
  c.number(kSmoothing, 0, 1);
  c.number(kSoftCap, 0, 1e30);
  const auto reduction = c.integer(kReduction, kNone, kMean);
  const DType dtype = c.in(kX).dtype;
  c.output(kLoss, dtype, reduction == kNone ? rows : Shape{});
  if (reduction != kNone) {
    c.output(kXGrad, dtype, c.shape(kX));
    c.output(kWeightGrad, dtype, c.shape(kWeight));
    c.output(kBiasGrad, dtype, {c.shape(kWeight)[0]});
  }
  c.scratch(rounds                     ? bf16_scratch_bytes(c.call)
            : dtype == DType::kFloat64 ? Plan<double>(c.call, nullptr).bytes
                                       : Plan<float>(c.call, nullptr).bytes);
}

template <class T> class Loss {
 public:
  explicit Loss(Call& call)
      : c(call), plan(call, call.scratch<char>()), rows(call, plan, plan.active, plan.totals, plan.losses) {}

  void run() {
    if (plan.backward) start();
    const int64_t chunks = ceil_div(rows.count, plan.chunk);
    for (int64_t i = 0; i < chunks; ++i) run_chunk(rows.count * i / chunks, rows.count * (i + 1) / chunks, i == 0);
    rows.finish();
  }

 private:
  Call& c;
  const Plan<T> plan;
  const LossRows<T> rows;
  const Kernels<T> kernel = kernels(T());
  const T* const x = c.in(kX).as<T>();
  const T* const weight = c.in(kWeight).as<T>();
  const T* const bias = c.in(kBias).as<T>();
  T* const x_grad = c.out(kXGrad).as<T>();
  T* const weight_grad = c.out(kWeightGrad).as<T>();
  T* const bias_grad = c.out(kBiasGrad).as<T>();
  const T smoothing = T(c.number(kSmoothing)), soft_cap = T(c.number(kSoftCap));
  const T per_class = plan.classes ? smoothing / T(plan.classes) : 0;
  T bias_start = 0;

  int64_t pieces_of(int64_t strips) const { return plan.blocks >= kEnoughBlocks ? 1 : strips; }

  void start() {
    // Smoothing takes the same from every class, unless a soft cap has a slope for each.
    const bool closed = smoothing > 0 && soft_cap == 0;
    std::fill(plan.weight_start, plan.weight_start + plan.width, T(0));
    if (closed) {
      if (plan.wants_weight || plan.wants_bias)
        for (int64_t i = 0; i < rows.count; ++i) {
          const int64_t row = plan.active[i];
          const T factor = -per_class * rows.factor_of(row) * plan.totals[row];
          kernel.add_scaled(x + row * plan.width, factor, plan.weight_start, plan.width);
          bias_start += factor;
        }
      if (plan.wants_x) {
        parallel_for(plan.blocks, [&](int64_t b) {
          T* sum = plan.weight_sums + b * plan.width;
          std::fill(sum, sum + plan.width, T(0));
          for (int64_t i = plan.first_class(b); i < plan.first_class(b + 1); ++i)
            kernel.add_scaled(weight + i * plan.width, 1, sum, plan.width);
        });
        std::fill(plan.weight_sum, plan.weight_sum + plan.width, T(0));
        for (int64_t b = 0; b < plan.blocks; ++b)
          kernel.add_scaled(plan.weight_sums + b * plan.width, 1, plan.weight_sum, plan.width);
      }
    }
    rows.clear_gradients();
  }

  LceBlock<T> block_of(int64_t b, int64_t count, int64_t slot) const {
    LceBlock<T> block = {};
    block.x = plan.x;
    block.rows = count;
    block.width = plan.width;
    const int64_t first = plan.first_class(b);
    block.weight = weight + first * plan.width;
    block.bias = bias ? bias + first : nullptr;
    block.classes = plan.first_class(b + 1) - first;
    block.soft_cap = soft_cap;
    block.maxima = plan.maxima + b * plan.chunk;
    block.sums = plan.sums + b * plan.chunk;
    block.score_sums = smoothing > 0 ? plan.score_sums + b * plan.chunk : nullptr;
    block.factors = plan.factors + b * plan.chunk;
    block.log_sums = plan.log_sums;
    block.kept = plan.kept;
    if (plan.kept) {
      block.exponentials = plan.exponentials + first * kStripRows;
      block.strip_stride = plan.padded_classes * kStripRows;
    } else if (plan.backward) {
      block.exponentials = plan.exponentials + slot * plan.exponentials_per_slot;
      block.strip_stride = lce_group_classes(plan.width, sizeof(T)) * kStripRows;
    }
    if (plan.wants_x) block.x_grad = plan.parts + b * plan.chunk * plan.padded_width;
    return block;
  }

  void run_chunk(int64_t begin, int64_t end, bool first_chunk) {
    const int64_t count = end - begin;
    const int32_t* index = plan.active + begin;
    parallel_ranges(count, kStripRows, [&](int64_t from, int64_t to) {
      kernel.pack_rows(x, index + from, to - from, plan.width, plan.x + from * plan.width);
    });

    const int64_t strips = ceil_div(count, kStripRows), pieces = pieces_of(strips);
    parallel_with_slots(plan.blocks * pieces, [&](int64_t task, int64_t slot) {
      LceBlock<T> block = block_of(task / pieces, count, slot);
      if (plan.twice) block.x_grad = nullptr, block.exponentials = nullptr;
      const int64_t piece = task % pieces;
      kernel.scores(block, strips * piece / pieces, strips * (piece + 1) / pieces);
    });

    parallel_ranges(count, kRowGrain, [&](int64_t from, int64_t to) {
      for (int64_t r = from; r < to; ++r) {
        finish_row(r, index[r]);
        if (plan.wants_x && !plan.twice) finish_x_grad(r, index[r]);
      }
    });
    if (!plan.kept && !plan.twice) return;

    parallel_with_slots(plan.blocks, [&](int64_t b, int64_t slot) {
      LceBlock<T> block = block_of(b, count, slot);
      const int64_t first = plan.first_class(b);
      T* scaled = plan.scaled_x + slot * plan.chunk * plan.padded_width;
      if (weight_grad) {
        kernel.scale_rows(x, index, block.factors, count, plan.width, scaled);
        block.scaled_x = scaled;
        block.weight_grad = weight_grad + first * plan.width;
      }
      if (bias_grad) block.bias_grad = bias_grad + first;
      if (first_chunk) block.weight_start = plan.weight_start, block.bias_start = bias_start;
      if (soft_cap != 0) block.floor = per_class;
      if (plan.kept)
        kernel.weight_grad(block);
      else
        block.maxima = plan.maxima, kernel.recompute(block);
      subtract_targets(index, count, first, first + block.classes);
    });
    if (plan.wants_x && plan.twice)
      parallel_ranges(count, kRowGrain, [&](int64_t from, int64_t to) {
        for (int64_t r = from; r < to; ++r) finish_x_grad(r, index[r]);
      });
  }

  // Of a row's target among the terms of the chunk.
  int64_t place(int64_t r, int64_t row, int64_t at) const { return at + (r - row) * plan.targets_per_row; }

  // The blocks of a row put together: its loss, and what its exponentials count for in the gradients.
  void finish_row(int64_t r, int64_t row) {
    T max = plan.maxima[r];
    for (int64_t b = 1; b < plan.blocks; ++b) max = std::max(max, plan.maxima[b * plan.chunk + r]);
    double sum = 0, scores = 0;
    for (int64_t b = 0; b < plan.blocks; ++b) {
      const int64_t at = b * plan.chunk + r;
      const T shrink = std::exp(plan.maxima[at] - max);
      sum += double(plan.sums[at]) * double(shrink);
      if (smoothing > 0) scores += double(plan.score_sums[at]);
      if (plan.backward) plan.factors[at] = shrink;
    }
    const double log_sum = double(max) + std::log(sum), total = double(plan.totals[row]);
    const T factor = rows.factor_of(row);
    if (plan.backward) {
      plan.log_sums[r] = T(std::log(sum));
      for (int64_t b = 0; b < plan.blocks; ++b) {
        T& f = plan.factors[b * plan.chunk + r];
        f = plan.twice ? factor * T(total) : T(double(f) / sum) * factor * T(total);
      }
    }

    plan.maxima[r] = max;  // the row's, where the first block's was

    double loss = 0;
    rows.each_target(row, [&](int64_t at, int64_t target, T target_weight) {
      const T score = kernel.score(x + row * plan.width, weight + target * plan.width, bias ? bias[target] : T(0),
                                   soft_cap, plan.width);
      const T share = (1 - smoothing) * target_weight;
      loss += double(share) * (log_sum - double(score));
      if (plan.backward) {
        const T ratio = soft_cap != 0 ? score / soft_cap : T(0);
        plan.target_terms[place(r, row, at)] = factor * share * (1 - ratio * ratio);
      }
    });
    if (smoothing > 0) loss += double(smoothing) * total * (log_sum - scores / double(plan.classes));
    plan.losses[row] = T(double(rows.weight_of(row)) * loss);
  }

  void finish_x_grad(int64_t r, int64_t row) {
    T* grad = x_grad + row * plan.width;
    kernel.combine(plan.parts + r * plan.padded_width, plan.chunk * plan.padded_width, plan.factors + r, plan.chunk,
                   plan.blocks, grad, plan.width);
    rows.each_target(row, [&](int64_t at, int64_t target, T) {
      kernel.add_scaled(weight + target * plan.width, -plan.target_terms[place(r, row, at)], grad, plan.width);
    });
    if (smoothing > 0 && soft_cap == 0)
      kernel.add_scaled(plan.weight_sum, -per_class * rows.factor_of(row) * plan.totals[row], grad, plan.width);
  }

  // From the gradients of classes [first, last): what the rows' targets take.
  void subtract_targets(const int32_t* index, int64_t count, int64_t first, int64_t last) {
    const int32_t* const targets = c.in(kTargets).as<int32_t>();
    for (int64_t r = 0; r < count; ++r)
      for (int64_t e = 0; e < plan.targets_per_row; ++e) {
        const int64_t target = targets[index[r] * plan.targets_per_row + e];
        if (target < first || target >= last || !rows.counts(target)) continue;
        const T term = plan.target_terms[r * plan.targets_per_row + e];
        if (weight_grad)
          kernel.add_scaled(x + index[r] * plan.width, -term, weight_grad + target * plan.width, plan.width);
        if (bias_grad) bias_grad[target] -= term;
      }
  }
};

template <class T> int64_t rows_that_count(const Call& c) {
  const Sizes sizes(c);
  const auto* targets = c.in(kTargets).as<const int32_t>();
  const T* weights = c.in(kWeights).as<const T>();
  const int64_t ignored = c.integer(kIgnoreIndex);
  const auto counts = [&](int32_t target) { return target >= 0 && target < sizes.classes && target != ignored; };
  int64_t rows = 0;
  for (int64_t r = 0; r < sizes.rows; ++r) {
    const int32_t* const first = targets + r * sizes.targets_per_row;
    rows += std::any_of(first, first + sizes.targets_per_row, counts) && !(weights && weights[r] == 0);
  }
  return rows;
}

// Rows that do not count cost nothing.
Work work(const Call& c) {
  const int64_t rows = c.in(kX).dtype == DType::kFloat64 ? rows_that_count<double>(c) : rows_that_count<float>(c);
  const double product = 2.0 * double(rows) * double(c.in(kWeight).count());
  return Work{product * (1 + (c.wants(kXGrad) ? 1 : 0) + (c.wants(kWeightGrad) ? 1 : 0))};
}

const Register op{{
    .name = "linear_cross_entropy",
    .inputs = {"x", "weight", "bias?", "shadow?", "targets", "weights?", "target_weights?"},
    .attributes = {"ignore_index", "label_smoothing", "soft_cap", "reduction", "precision"},
    .outputs = {"loss", "x_grad?", "weight_grad?", "bias_grad?"},
    .infer = infer,
    .cpu =
        [](Call& c) {
          if (multiplies_bf16(c, kWeight, c.integer(kPrecision)))
            run_bf16(c);
          else if (c.in(kX).dtype == DType::kFloat64)
            Loss<double>(c).run();
          else
            Loss<float>(c).run();
        },
    .work = work,
}};

}  // namespace
}  // namespace lce
}  // namespace userllm
