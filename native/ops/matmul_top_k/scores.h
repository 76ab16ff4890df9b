// Scores of rows against a catalogue, x · weightᵀ + bias, made a block at a time and read while they are in the cache:
// a matrix of rows x classes never exists. Also the classes that a row leaves out, as the items a user has seen.
#pragma once
#include <algorithm>
#include <limits>
#include <type_traits>

#include "core/op.h"
#include "devices/cpu/gemm/blocks.h"
#include "devices/cpu/gemm/precision.h"
#include "devices/cpu/gemm/weight_pack.h"
#include "devices/cpu/offsets.h"
#include "devices/cpu/thread_pool.h"

namespace userllm::scores {

// The first inputs of the ops of this folder.
enum In { kX, kWeight, kBias, kExcluded, kOffsets, kShadow, kInputs };

inline DType score_dtype(const Call& c) {
  return c.in(kX).dtype == DType::kFloat64 ? DType::kFloat64 : DType::kFloat32;
}

// `precision` is the position of that attribute.
inline void require_inputs(Infer& c, int precision) {
  require_precision(c, kX, kWeight, kShadow, precision);
  c.require_dtype(kBias, {score_dtype(c.call)});
  for (const int i : {kExcluded, kOffsets}) c.require_dtype(i, {DType::kInt32});
  c.require_rank_at_least(kX, 1, "[..., width]");
  c.require_rank(kWeight, 2, "[classes, width]");
  c.require_same(kX, -1, kWeight, 1, "width");
  const Shape& weight = c.shape(kWeight);
  c.require_shape(kBias, {weight[0]}, "one for each class");
  if (weight[0] > INT32_MAX) c.fail(c.show(kWeight), " has too many classes for int32 ids");
  if (bool(c.in(kExcluded)) != bool(c.in(kOffsets))) c.fail_usage("excluded needs offsets, and offsets excluded");
  c.require_rank(kExcluded, 1, "[ids]");
  c.require_shape(kOffsets, {c.shape(kX).rows() + 1}, "one more than there are rows");
  if (c.in(kExcluded).count() > INT32_MAX) c.fail(c.show(kExcluded), " are too many: at most ", INT32_MAX);
}

inline Work work(const Call& c) {
  const double classes = double(c.in(kWeight).shape[0]);
  return Work{2 * double(c.in(kX).count()) * classes};
}

// Calls run with a value of the type that the product's operands have.
template <class Run> void with_operand_type(const Call& c, int precision, const Run& run) {
  if (multiplies_bf16(c, kWeight, c.integer(precision)))
    run(BFloat16());
  else if (c.in(kX).dtype == DType::kFloat64)
    run(double());
  else
    run(float());
}

inline int64_t align(int64_t bytes) { return (bytes + 63) & ~int64_t{63}; }
inline int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

// The scores of one row for the classes first .. first + count - 1; they may be overwritten.
template <class T> struct RowBlock {
  int64_t row, first, count;
  T* scores;
  const int32_t *excluded, *excluded_end;  // those of them that the row leaves out: ascending, maybe with repeats
};

// How scores are made; E is the type of the operands of the product. A task has some rows and a segment of the classes.
// For each block of classes, whose part of the weight stays in the second-level cache, it goes over its rows a strip at
// a time, whose scores stay in the first.
template <class E> class Blocks {
 public:
  using T = BlockSum<E>;

  explicit Blocks(const Call& call)
      : c(call),
        rows(c.in(kX).shape.rows()),
        classes(c.in(kWeight).shape[0]),
        width(c.in(kWeight).shape[1]),
        columns_(block_columns<E>()) {
    constexpr int64_t kBlockBytes = 256 << 10, kBlockClasses = 512, kRowBytes = 768 << 10;
    const int64_t row_bytes = std::max(width, int64_t{1}) * int64_t{sizeof(E)};
    block_ = columns_ * std::clamp(kBlockBytes / (row_bytes * columns_), int64_t{1},
                                   std::max(kBlockClasses / columns_, int64_t{1}));
    // What a row keeps is the best of a total order, or a count: how tasks are cut does not change it.
    const int64_t wanted = 2 * thread_count(), strips = ceil_div(rows, kStrip);
    row_tasks_ = ceil_div(rows, std::clamp(kRowBytes / row_bytes, 2 * kStrip, kTaskRows));
    if (row_tasks_ > 1) row_tasks_ = std::min(strips, ceil_div(row_tasks_, thread_count()) * thread_count());
    constexpr int64_t kSegmentClasses = 4096;
    segments = row_tasks_ < wanted ? ceil_div(wanted, std::max(row_tasks_, int64_t{1})) : 1;
    segments = std::clamp(classes / kSegmentClasses, int64_t{1}, segments);
  }

  const Call& c;
  int64_t rows, classes, width;
  int64_t segments;     // each row meets as many pieces of the classes, maybe on different threads
  char* own = nullptr;  // the op's scratch

  // In `infer`: the pack, and scratch of which the last `own_bytes` are the op's.
  void ask(Infer& infer, int64_t own_bytes) const {
    bool packed;
    if constexpr (kBf16)
      packed = ask_for_pack(infer, weight(), product());
    else
      packed = ask_for_pack<E>(infer, weight(), product());
    infer.scratch(size_t((packed ? 0 : packed_bytes()) + excluded_bytes() + slot_bytes() * thread_count() + own_bytes));
  }

  // In the kernel: makes the panels and sorts what rows leave out; false after a fault that leaves nothing to do.
  bool prepare(Call& call) {
    char* at = call.scratch<char>();
    if (call.pack()) {
      if constexpr (kBf16)
        panels_ = static_cast<const E*>(fresh_pack(call, product()));
      else
        panels_ = static_cast<const E*>(fresh_pack<E>(call, product()));
    } else {
      if constexpr (kBf16)
        gemm_bf16_pack_b(product(), at);
      else
        gemm_pack_b<E>(product(), at);
      panels_ = reinterpret_cast<const E*>(at);
      at += packed_bytes();
    }
    sorted_ = reinterpret_cast<int32_t*>(at);
    slots_ = at + excluded_bytes();
    own = slots_ + slot_bytes() * thread_count();
    return sort_excluded(call);
  }

  // Some rows, as the product reads them.
  struct Rows {
    const Blocks& blocks;
    int64_t begin, end;
    BlockRows<E> data;

    // The score of one class, by the arithmetic of the blocks: to the bit what they show.
    T score(int64_t row, int64_t of) const {
      T values[kMaxColumns];
      const int64_t first = of / blocks.columns_ * blocks.columns_;
      multiply(row, 1, first, std::min(blocks.columns_, blocks.classes - first), values, blocks.columns_);
      return values[of - first];
    }

    // to[height, count] = the scores; `first` is the first class of a panel.
    void multiply(int64_t row, int64_t height, int64_t first, int64_t count, T* to, int64_t stride) const {
      const T* bias = blocks.c.in(kBias).template as<const T>();
      if (bias)
        for (int64_t i = 0; i < height; ++i) std::copy_n(bias + first, count, to + i * stride);
      block_multiply<E>({.m = height,
                         .n = count,
                         .k = blocks.width,
                         .a = {data.data + (row - begin) * data.stride, data.stride},
                         .b = blocks.panels_ + first * block_k<E>(blocks.width),
                         .c = to,
                         .c_stride = stride,
                         .accumulate = bias != nullptr});
    }
  };

  // Calls start(rows, segment) for some rows and a segment, and then body(row block, segment) for all blocks of these
  // rows, a row's in ascending order, on one thread.
  template <class Start, class Body> void each(const Start& start, const Body& body) const {
    parallel_with_slots(row_tasks_ * segments, [&](int64_t task, int64_t slot) {
      const int64_t segment = task / row_tasks_, part = task % row_tasks_;
      char* const memory = slots_ + slot * slot_bytes();
      T* const held = reinterpret_cast<T*>(memory);
      const int64_t begin = rows * part / row_tasks_, end = rows * (part + 1) / row_tasks_;
      const Rows mine = {*this, begin, end, rows_of(begin, end, memory + held_bytes())};
      [[maybe_unused]] const Scope scope;
      start(mine, segment);
      const int64_t blocks = ceil_div(classes, block_);
      for (int64_t b = blocks * segment / segments; b < blocks * (segment + 1) / segments; ++b) {
        const int64_t first = b * block_, count = std::min(block_, classes - first);
        for (int64_t row = begin; row < end; row += kStrip) {
          const int64_t height = std::min(kStrip, end - row);
          mine.multiply(row, height, first, count, held, block_);
          for (int64_t i = 0; i < height; ++i) {
            const auto [from, to] = excluded(row + i, first, first + count);
            body(RowBlock<T>{row + i, first, count, held + i * block_, from, to}, segment);
          }
        }
      }
    });
  }

 private:
  static constexpr bool kBf16 = std::is_same_v<E, BFloat16>;
  static constexpr int64_t kStrip = kBf16 ? 32 : 24, kTaskRows = 6 * kStrip, kMaxColumns = 64;
  static constexpr int64_t kReadAhead = 16;  // packed rows that a product may read beyond its last
  struct NoScope {};
  using Scope = std::conditional_t<kBf16, BlockScope, NoScope>;

  // The weight as panels, in the pack that its storage keeps or, without one, in the scratch.
  auto product() const {
    std::conditional_t<kBf16, GemmBf16, Gemm> g;
    g.m = rows;
    g.n = classes;
    g.k = width;
    g.b = c.in(weight()).data;
    g.b_row_stride = width;
    g.b_transposed = true;
    if constexpr (kBf16) g.b_bf16 = c.in(weight()).dtype == DType::kBFloat16;
    return g;
  }
  int weight() const { return source_of(c, kWeight, kShadow); }

  int64_t packed_bytes() const { return align(int64_t(block_panels_bytes<E>(classes, width))); }
  int64_t excluded_bytes() const {
    return c.in(kExcluded) ? align(c.in(kExcluded).count() * int64_t{sizeof(int32_t)}) : 0;
  }
  int64_t held_bytes() const { return align(kStrip * block_ * int64_t{sizeof(T)}); }
  int64_t rows_bytes() const {
    if (!kBf16) return 0;
    const int64_t most = ceil_div(rows, std::max(row_tasks_, int64_t{1}));
    return align(int64_t(block_rows_bytes<E>(most + kReadAhead, width)));
  }
  int64_t slot_bytes() const { return held_bytes() + rows_bytes(); }

  BlockRows<E> rows_of(int64_t begin, int64_t end, char* memory) const {
    const TensorRef& x = c.in(kX);
    if constexpr (!kBf16) return {x.as<const E>() + begin * width, width};
    const int64_t offset = begin * width * int64_t(size_of(x.dtype));
    const Operand operand = {
        .data = x.as<const char>() + offset, .stride = width, .bfloat16 = x.dtype == DType::kBFloat16};
    block_pack_rows(operand, end - begin, width, reinterpret_cast<E*>(memory));
    return {reinterpret_cast<const E*>(memory), block_row_stride<E>(width)};
  }

  std::pair<const int32_t*, const int32_t*> excluded(int64_t row, int64_t from, int64_t to) const {
    if (!c.in(kExcluded)) return {nullptr, nullptr};
    const auto* offsets = c.in(kOffsets).as<const int32_t>();
    const int32_t *begin = sorted_ + offsets[row], *end = sorted_ + offsets[row + 1];
    begin = std::lower_bound(begin, end, from);
    return {begin, std::lower_bound(begin, end, to)};
  }

  bool sort_excluded(Call& call) {
    if (!c.in(kExcluded)) return true;
    if (!check_offsets(call, kOffsets, c.in(kExcluded).count(), "excluded ids")) return false;
    const auto* offsets = c.in(kOffsets).as<const int32_t>();
    const auto* ids = c.in(kExcluded).as<const int32_t>();
    parallel_ranges(rows, 64, [&](int64_t begin, int64_t end) {
      for (int64_t i = offsets[begin]; i < offsets[end]; ++i) {
        sorted_[i] = ids[i];
        if (ids[i] < 0 || ids[i] >= classes) call.index_fault(kExcluded, i, ids[i], classes);
      }
      for (int64_t r = begin; r < end; ++r) std::sort(sorted_ + offsets[r], sorted_ + offsets[r + 1]);
    });
    return true;
  }

  int64_t columns_;  // of a panel
  int64_t block_;    // classes
  int64_t row_tasks_;
  const E* panels_ = nullptr;
  int32_t* sorted_ = nullptr;
  char* slots_ = nullptr;
};

}  // namespace userllm::scores
