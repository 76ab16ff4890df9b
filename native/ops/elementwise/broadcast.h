// Broadcasting as NumPy's: shapes are aligned at their last dimension, and a dimension of 1 is repeated.
#pragma once
#include <initializer_list>

#include "core/op.h"
#include "devices/cpu/thread_pool.h"

namespace userllm {

// Elements of one task.
constexpr int64_t kElementGrain = 1 << 14;

// What `shape` and that of input `i` broadcast to. An absent input is a scalar.
Shape broadcast_with(const Infer& c, const Shape& shape, int i);

// The loop nest of an elementwise op whose operands are repeated along some dimensions. Neighbouring dimensions that
// every operand walks alike are merged; what remains has at least two, and along the last one each operand steps by 1
// or 0.
class BroadcastLoop {
 public:
  BroadcastLoop(const Shape& result, std::initializer_list<Shape> operands);

  int64_t row_step(int operand) const { return steps_[operand][shape_.rank - 2]; }
  int64_t step(int operand) const { return steps_[operand][shape_.rank - 1]; }

  // Rows that follow each other in the result: it begins at element `at` of it and at offsets[i] of operand i.
  struct Block {
    int64_t at, offsets[3], rows, width;
  };

  // Calls body(block) for blocks that cover the result.
  template <class Body> void run(const Body& body) const {
    parallel_ranges(shape_.count(), kElementGrain, [&](int64_t begin, int64_t end) {
      while (begin < end) {
        const Block block = block_at(begin, end);
        body(block);
        begin += block.rows * block.width;
      }
    });
  }

 private:
  Block block_at(int64_t begin, int64_t end) const;

  Shape shape_;
  int operands_;
  int64_t steps_[3][kMaxRank];
};

}  // namespace userllm
