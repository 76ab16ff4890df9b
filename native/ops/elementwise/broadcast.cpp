#include "ops/elementwise/broadcast.h"

#include <algorithm>

namespace userllm {

Shape broadcast_with(const Infer& c, const Shape& shape, int i) {
  if (!c.in(i)) return shape;
  const Shape& other = c.shape(i);
  Shape result;
  result.rank = std::max(shape.rank, other.rank);
  for (int d = 1; d <= result.rank; ++d) {
    const int64_t x = d <= shape.rank ? shape[-d] : 1, y = d <= other.rank ? other[-d] : 1;
    if (x != y && x != 1 && y != 1)
      c.fail(c.show(i), " does not broadcast with ", to_string(shape), " (", y, " vs ", x, " in dimension ", -d, ")");
    result[-d] = x == 1 ? y : x;
  }
  return result;
}

BroadcastLoop::BroadcastLoop(const Shape& result, std::initializer_list<Shape> operands)
    : operands_(int(operands.size())) {
  // Innermost first.
  int64_t sizes[kMaxRank], steps[3][kMaxRank], strides[3] = {1, 1, 1};
  int rank = 0;
  for (int d = 1; d <= result.rank; ++d) {
    int64_t step[3] = {};
    bool extends = rank > 0;
    int n = 0;
    for (const Shape& shape : operands) {
      const int64_t size = d <= shape.rank ? shape[-d] : 1;
      step[n] = size == 1 ? 0 : strides[n];
      strides[n] *= size;
      extends = extends && step[n] == steps[n][rank - 1] * sizes[rank - 1];
      ++n;
    }
    if (result[-d] == 1) continue;
    if (extends) {
      sizes[rank - 1] *= result[-d];
      continue;
    }
    sizes[rank] = result[-d];
    for (n = 0; n < operands_; ++n) steps[n][rank] = step[n];
    ++rank;
  }
  for (; rank < 2; ++rank) {
    sizes[rank] = 1;
    for (int n = 0; n < operands_; ++n) steps[n][rank] = 0;
  }
  for (int d = rank; d-- > 0;) {
    for (int n = 0; n < operands_; ++n) steps_[n][shape_.rank] = steps[n][d];
    shape_.push(sizes[d]);
  }
}

BroadcastLoop::Block BroadcastLoop::block_at(int64_t begin, int64_t end) const {
  const int64_t width = shape_[-1], rows = shape_[-2], row = begin / width, column = begin % width;
  Block block{begin, {}, 1, std::min(width - column, end - begin)};
  if (block.width == width) block.rows = std::min((end - begin) / width, rows - row % rows);
  for (int n = 0; n < operands_; ++n) block.offsets[n] = column * step(n);
  int64_t rest = row;
  for (int d = shape_.rank - 2; d >= 0; rest /= shape_.dims[d--])
    for (int n = 0; n < operands_; ++n) block.offsets[n] += rest % shape_.dims[d] * steps_[n][d];
  return block;
}

}  // namespace userllm
