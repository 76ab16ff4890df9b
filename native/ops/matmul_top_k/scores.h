// Scores of rows against a catalogue, x · weightᵀ + bias, made a block at a time and read while they are in the cache:
// a matrix of rows x classes never exists. Also the classes that a row leaves out, as the items a user has seen.
#pragma once
#include <algorithm>
#include <limits>
#include <type_traits>

#include "core/op.h"
#include "devices/cpu/gemm/gemm.simd.h"
#include "devices/cpu/gemm/weight_pack.h"
#include "devices/cpu/offsets.h"
#include "devices/cpu/thread_pool.h"

namespace userllm::scores {

// The first inputs of the ops of this folder.
enum In { kX, kWeight, kBias, kExcluded, kOffsets, kInputs };

inline void require_inputs(Infer& c) {
  for (const int i : {kX, kWeight, kBias}) c.require_float(i);
  for (const int i : {kWeight, kBias}) c.require_same_dtype(kX, i);
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

inline int64_t align(int64_t bytes) { return (bytes + 63) & ~int64_t{63}; }
inline int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

// The scores of one row for the classes first .. first + count - 1; they may be overwritten.
template <class T> struct RowBlock {
  int64_t row, first, count;
  T* scores;
  const int32_t *excluded, *excluded_end;  // those of them that the row leaves out: ascending, maybe with repeats
};

// How scores are cut. A task has some rows and a segment of the classes. For each block of classes, whose part of the
// weight stays in the second-level cache, it goes over its rows a strip at a time, whose scores stay in the first.
template <class T> class Blocks {
 public:
  Blocks(const Call& call)
      : c(call),
        kernel(kernels()),
        rows(c.in(kX).shape.rows()),
        classes(c.in(kWeight).shape[0]),
        width(c.in(kWeight).shape[1]),
        strip(2 * kernel.rows) {
    constexpr int64_t kBlockBytes = 256 << 10, kBlockClasses = 512, kRowBytes = 768 << 10, kTaskRows = 144;
    const int64_t row_bytes = std::max(width, int64_t{1}) * int64_t{sizeof(T)};
    block = kernel.columns * std::clamp(kBlockBytes / (row_bytes * kernel.columns), int64_t{1},
                                        std::max(kBlockClasses / kernel.columns, int64_t{1}));
    // What a row keeps is the best of a total order, or a count: how tasks are cut does not change it.
    const int64_t wanted = 2 * thread_count(), strips = ceil_div(rows, strip);
    row_tasks = ceil_div(rows, std::clamp(kRowBytes / row_bytes, 2 * strip, kTaskRows));
    if (row_tasks > 1) row_tasks = std::min(strips, ceil_div(row_tasks, thread_count()) * thread_count());
    constexpr int64_t kSegmentClasses = 4096;
    segments = row_tasks < wanted ? ceil_div(wanted, std::max(row_tasks, int64_t{1})) : 1;
    segments = std::clamp(classes / kSegmentClasses, int64_t{1}, segments);
  }

  const Call& c;
  const GemmKernels& kernel;
  int64_t rows, classes, width;
  int64_t strip, block;         // rows, classes
  int64_t row_tasks, segments;  // of the work

  // The weight as panels, in the pack that its storage keeps or, without one, in the scratch.
  Gemm product() const {
    Gemm g = {.m = rows, .n = classes, .k = width};
    g.b = c.in(kWeight).data;
    g.b_row_stride = width;
    g.b_transposed = true;
    return g;
  }

  // In `infer`: the pack, and scratch of which the last `own_bytes` are the op's.
  void ask(Infer& infer, int64_t own_bytes) const {
    const bool packed = ask_for_pack<T>(infer, kWeight, product());
    infer.scratch(size_t((packed ? 0 : packed_bytes()) + excluded_bytes() + slot_bytes() * thread_count() + own_bytes));
  }

  // In the kernel: makes the panels and sorts what rows leave out; false after a fault that leaves nothing to do.
  bool prepare(Call& call) {
    char* at = call.scratch<char>();
    if (call.pack()) {
      panels = static_cast<const T*>(fresh_pack<T>(call, product()));
    } else {
      if (width > 0) gemm_pack_b<T>(product(), at);
      panels = reinterpret_cast<const T*>(at);
      at += packed_bytes();
    }
    sorted_ = reinterpret_cast<int32_t*>(at);
    slots_ = at + excluded_bytes();
    own = slots_ + slot_bytes() * thread_count();
    return sort_excluded(call);
  }

  char* own = nullptr;
  const T* panels = nullptr;

  // Calls body(row block, segment): all rows with all blocks; a row's blocks of one segment come in ascending order, on
  // one thread, after start(first row, end, segment).
  template <class Start, class Body> void each(const Start& start, const Body& body) const {
    parallel_with_slots(row_tasks * segments, [&](int64_t task, int64_t slot) {
      const int64_t segment = task / row_tasks, part = task % row_tasks;
      const int64_t row_begin = rows * part / row_tasks, row_end = rows * (part + 1) / row_tasks;
      const int64_t blocks = ceil_div(classes, block);
      T* const held = reinterpret_cast<T*>(slots_ + slot * slot_bytes());
      start(row_begin, row_end, segment);
      for (int64_t b = blocks * segment / segments; b < blocks * (segment + 1) / segments; ++b) {
        const int64_t first = b * block, count = std::min(block, classes - first);
        for (int64_t row = row_begin; row < row_end; row += strip) {
          const int64_t height = std::min(strip, row_end - row);
          multiply(row, height, first, count, held, block);
          for (int64_t i = 0; i < height; ++i) {
            const auto [from, to] = excluded(row + i, first, first + count);
            body(RowBlock<T>{row + i, first, count, held + i * block, from, to}, segment);
          }
        }
      }
    });
  }

  // The score of one class, by the arithmetic of the blocks: to the bit what `each` shows.
  T score(int64_t row, int64_t of) const {
    T values[kMaxColumns];
    const int64_t first = of / kernel.columns * kernel.columns;
    multiply(row, 1, first, std::min(kernel.columns, classes - first), values, kernel.columns);
    return values[of - first];
  }

 private:
  static constexpr int64_t kMaxColumns = 64;

  static const GemmKernels& kernels() {
    if constexpr (std::is_same_v<T, float>)
      return SIMD_CALL(gemm_kernels_float)();
    else
      return SIMD_CALL(gemm_kernels_double)();
  }

  int64_t packed_bytes() const { return align(int64_t(gemm_packed_bytes<T>(classes, width))); }
  int64_t excluded_bytes() const {
    return c.in(kExcluded) ? align(c.in(kExcluded).count() * int64_t{sizeof(int32_t)}) : 0;
  }
  int64_t slot_bytes() const { return align(strip * block * int64_t{sizeof(T)}); }

  // to[height, count] = the scores; `first` is the first class of a panel.
  void multiply(int64_t row, int64_t height, int64_t first, int64_t count, T* to, int64_t stride) const {
    const T* bias = c.in(kBias).as<const T>();
    Gemm g = {.m = height, .n = count, .k = width};
    g.a = c.in(kX).as<const T>() + row * width;
    g.a_row_stride = width;
    g.bias = bias ? bias + first : nullptr;
    g.c = to;
    g.c_row_stride = stride;
    if (width > 0)
      return kernel.tiles(g, {panels + first * width, width * kernel.columns, kernel.columns}, {0, height, 0, count},
                          nullptr);
    for (int64_t i = 0; i < height; ++i)
      for (int64_t j = 0; j < count; ++j) to[i * stride + j] = bias ? bias[first + j] : T(0);
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

  int32_t* sorted_ = nullptr;
  char* slots_ = nullptr;
};

}  // namespace userllm::scores
