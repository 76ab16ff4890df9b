// The rank of each row's target among the scores x · weightᵀ + bias, without the matrix of scores:
//
//     rank = 1 + number of other classes that the row does not leave out and whose score is not below the target's
//
// Ties, and NaN on either side, count against the target.
#include "ops/matmul_top_k/matmul_rank.simd.h"
#include "ops/matmul_top_k/scores.h"

namespace userllm {
namespace {

using namespace scores;

enum Own { kTargets = kInputs };
enum Attribute { kPrecision };

int64_t count_not_below(const float* x, int64_t n, float bound) { return SIMD_CALL(count_not_below_f32)(x, n, bound); }
int64_t count_not_below(const double* x, int64_t n, double bound) {
  return SIMD_CALL(count_not_below_f64)(x, n, bound);
}

// For each segment the scores of the targets, then the counts.
template <class E> void infer_as(Infer& c) {
  const Blocks<E> blocks(c.call);
  const int64_t parts = blocks.segments * blocks.rows;
  blocks.ask(c, align(parts * int64_t{sizeof(BlockSum<E>)}) + parts * int64_t{sizeof(int32_t)});
}

void infer(Infer& c) {
  require_inputs(c, kPrecision);
  c.require_dtype(kTargets, {DType::kInt32});
  const Shape rows = c.shape(kX).without(-1);
  c.require_shape(kTargets, rows, "one target for each row of x");
  c.output(0, DType::kInt32, rows);
  if (rows.count() == 0) return;
  with_operand_type(c.call, kPrecision, [&](auto type) { infer_as<decltype(type)>(c); });
}

template <class E> void run(Call& c) {
  using T = BlockSum<E>;
  const auto* targets = c.in(kTargets).as<const int32_t>();
  int32_t* const ranks = c.out(0).as<int32_t>();
  Blocks<E> blocks(c);
  if (!blocks.prepare(c)) {
    std::fill_n(ranks, blocks.rows, 0);
    return;
  }
  const int64_t rows = blocks.rows, segments = blocks.segments;
  T* const bounds = reinterpret_cast<T*>(blocks.own);
  int32_t* const counts = reinterpret_cast<int32_t*>(blocks.own + align(segments * rows * int64_t{sizeof(T)}));
  const auto has_target = [&](int64_t row) { return targets[row] >= 0 && targets[row] < blocks.classes; };
  blocks.each(
      [&](const auto& mine, int64_t segment) {
        for (int64_t row = mine.begin; row < mine.end; ++row) {
          if (!has_target(row)) c.index_fault(kTargets, row, targets[row], blocks.classes);
          bounds[segment * rows + row] = has_target(row) ? mine.score(row, targets[row]) : T(0);
          counts[segment * rows + row] = 0;
        }
      },
      [&](const RowBlock<T>& block, int64_t segment) {
        const T bound = bounds[segment * rows + block.row];
        int64_t count = count_not_below(block.scores, block.count, bound);
        for (const int32_t* id = block.excluded; id < block.excluded_end; ++id) {
          const bool repeats = id > block.excluded && id[-1] == *id;
          if (*id == targets[block.row] || repeats) continue;
          count -= !(block.scores[*id - block.first] < bound);
        }
        counts[segment * rows + block.row] += int32_t(count);
      });
  for (int64_t row = 0; row < rows; ++row) {
    int32_t rank = 0;  // the target counts itself
    for (int64_t s = 0; s < segments; ++s) rank += counts[s * rows + row];
    ranks[row] = has_target(row) ? rank : 0;
  }
}

void cpu(Call& c) {
  if (c.out(0).count() == 0) return;
  with_operand_type(c, kPrecision, [&](auto type) { run<decltype(type)>(c); });
}

const Register op{{
    .name = "matmul_rank",
    .inputs = {"x", "weight", "bias?", "excluded?", "offsets?", "shadow?", "targets"},
    .attributes = {"precision"},
    .outputs = {"ranks"},
    .infer = infer,
    .cpu = cpu,
    .work = work,
}};

}  // namespace
}  // namespace userllm
