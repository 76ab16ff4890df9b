// The k best classes of each row of x · weightᵀ + bias, without the matrix of scores.
#include <cmath>

#include "devices/cpu/top_heap.h"
#include "ops/matmul_top_k/scores.h"

namespace userllm {
namespace {

using namespace scores;

enum Attribute { kK, kPrecision };
enum Out { kValues, kIndices };

// The heaps of the segments: with several of them each has its own, which are merged at the end.
template <class E> int64_t heap_bytes(const Blocks<E>& blocks, int64_t k) {
  using T = BlockSum<E>;
  if (blocks.segments == 1) return 0;
  return align(blocks.segments * blocks.rows * k * int64_t{sizeof(T)}) +
         align(blocks.segments * blocks.rows * k * int64_t{sizeof(int32_t)});
}

template <class E> void infer_as(Infer& c) {
  const Blocks<E> blocks(c.call);
  blocks.ask(c, heap_bytes(blocks, c.call.integer(kK)));
}

void infer(Infer& c) {
  require_inputs(c, kPrecision);
  const int64_t k = c.integer(kK, 0, INT32_MAX), classes = c.shape(kWeight)[0];
  if (k > classes) c.fail(c.show(kWeight), " has no ", k, " classes");
  const Shape result = c.shape(kX).with(-1, k);
  c.output(kValues, score_dtype(c.call), result);
  c.output(kIndices, DType::kInt32, result);
  if (result.count() == 0) return;
  with_operand_type(c.call, kPrecision, [&](auto type) { infer_as<decltype(type)>(c); });
}

template <class T> void clear(TopHeap<T> heap, int64_t k) {
  std::fill_n(heap.value, k, -std::numeric_limits<T>::infinity());
  std::fill_n(heap.index, k, -1);
}

// Lets the classes of a block into the heap of their row.
template <class T> void enter(const RowBlock<T>& block, TopHeap<T> heap, int64_t k) {
  const int32_t* next = block.excluded;
  for (const int32_t* id = next; id < block.excluded_end; ++id)
    block.scores[*id - block.first] = -std::numeric_limits<T>::infinity();
  int64_t i = 0;
  for (; i < block.count && heap.index[0] < 0; ++i) {  // while there is room, even -inf enters
    const int32_t id = int32_t(block.first + i);
    while (next < block.excluded_end && *next < id) ++next;
    if (next == block.excluded_end || *next != id) heap.sift(0, k, block.scores[i], id);
  }
  for (; i < block.count && !std::isnan(heap.value[0]); ++i) {
    i = find_above(block.scores, i, block.count, heap.value[0]);
    if (i < block.count) heap.sift(0, k, block.scores[i], int32_t(block.first + i));
  }
}

template <class E> void run(Call& c) {
  using T = BlockSum<E>;
  const int64_t k = c.integer(kK);
  T* const values = c.out(kValues).as<T>();
  int32_t* const indices = c.out(kIndices).as<int32_t>();
  Blocks<E> blocks(c);
  if (!blocks.prepare(c)) {
    std::fill_n(values, blocks.rows * k, T(0));
    std::fill_n(indices, blocks.rows * k, 0);
    return;
  }
  TopHeap<T> all = {values, indices};
  if (blocks.segments > 1) {
    all.value = reinterpret_cast<T*>(blocks.own);
    all.index = reinterpret_cast<int32_t*>(blocks.own + align(blocks.segments * blocks.rows * k * int64_t{sizeof(T)}));
  }
  const auto heap_of = [&](int64_t row, int64_t segment) {
    const int64_t at = (segment * blocks.rows + row) * k;
    return TopHeap<T>{all.value + at, all.index + at};
  };
  blocks.each(
      [&](const auto& mine, int64_t segment) { clear(heap_of(mine.begin, segment), (mine.end - mine.begin) * k); },
      [&](const RowBlock<T>& block, int64_t segment) { enter(block, heap_of(block.row, segment), k); });
  parallel_ranges(blocks.rows, 4096 / (k * blocks.segments) + 1, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      const TopHeap<T> parts = heap_of(row, 0);
      TopHeap<T> best = {values + row * k, indices + row * k};
      if (blocks.segments > 1) {
        clear(best, k);
        for (int64_t s = 0; s < blocks.segments; ++s)
          for (int64_t i = s * blocks.rows * k, last = i + k; i < last; ++i)
            if (TopHeap<T>::beats(parts.value[i], parts.index[i], best.value[0], best.index[0]))
              best.sift(0, k, parts.value[i], parts.index[i]);
      }
      best.sort(k);
    }
  });
}

void cpu(Call& c) {
  if (c.out(kValues).count() == 0) return;
  with_operand_type(c, kPrecision, [&](auto type) { run<decltype(type)>(c); });
}

const Register op{{
    .name = "matmul_top_k",
    .inputs = {"x", "weight", "bias?", "excluded?", "offsets?", "shadow?"},
    .attributes = {"k", "precision"},
    .outputs = {"values", "indices"},
    .infer = infer,
    .cpu = cpu,
    .work = work,
}};

}  // namespace
}  // namespace userllm
