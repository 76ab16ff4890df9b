// Gradient of a table whose rows were looked up: every row is the sum of what its uses received, in their order.
#pragma once
#include <algorithm>
#include <cstring>

#include "core/op.h"
#include "devices/cpu/thread_pool.h"
#include "ops/embedding/embedding.simd.h"

namespace userllm {

inline void sum_rows(const RowSum<float>& task) { SIMD_CALL(sum_rows_f32)(task); }
inline void sum_rows(const RowSum<double>& task) { SIMD_CALL(sum_rows_f64)(task); }

// Scratch of a Scatter: `ends` and `sources`.
inline size_t scatter_bytes(int64_t table_rows, int64_t ids) { return size_t(table_rows + ids) * sizeof(int32_t); }

// Uses sorted by table row with a counting sort, which keeps their order.
class Scatter {
 public:
  Scatter(void* scratch, int64_t table_rows)
      : table_rows_(table_rows), ends_(static_cast<int32_t*>(scratch)), sources_(ends_ + table_rows) {}

  // `source(i)` is the row of the gradient that use i received; it is asked with rising i. Ids outside the table are
  // reported and left out.
  template <class Source> void sort(Call& c, int input, const int32_t* ids, int64_t count, const Source& source) {
    std::fill_n(ends_, table_rows_, 0);
    for (int64_t i = 0; i < count; ++i)
      if (inside(ids[i]))
        ++ends_[ids[i]];
      else
        c.index_fault(input, i, ids[i], table_rows_);
    int32_t total = 0;
    for (int64_t row = 0; row < table_rows_; ++row) {
      const int32_t uses = ends_[row];
      ends_[row] = total;
      total += uses;
    }
    for (int64_t i = 0; i < count; ++i)
      if (inside(ids[i])) sources_[ends_[ids[i]]++] = int32_t(source(i));
  }

  // table[row] = Σ scales[source] · grad[source] over the row's sources.
  template <class T> void add_up(const T* grad, int64_t stride, const T* scales, int64_t width, T* table) const {
    const int64_t uses = table_rows_ ? ends_[table_rows_ - 1] : 0;
    const auto columns_of = [&](int64_t row, int64_t column, int64_t columns) {
      const int64_t begin = first(row);
      sum_rows(RowSum<T>{grad + column, stride, sources_ + begin, ends_[row] - begin, scales, T(1), columns,
                         table + row * width + column});
    };
    const int64_t work_per_row = width * (table_rows_ ? uses / table_rows_ + 1 : 1);
    parallel_ranges(table_rows_, 16384 / (work_per_row + 1) + 1, [&](int64_t begin, int64_t end) {
      for (int64_t row = begin; row < end; ++row)
        if (!hot(row, width)) columns_of(row, 0, width);
    });
    if (uses * width <= kHotWork) return;
    for (int64_t row = 0; row < table_rows_; ++row)
      if (hot(row, width))
        parallel_ranges(width, 64, [&](int64_t begin, int64_t end) { columns_of(row, begin, end - begin); });
  }

 private:
  // A row with more work than this is shared by the threads, column by column: often that of padding.
  static constexpr int64_t kHotWork = 1 << 18;

  bool inside(int64_t id) const { return id >= 0 && id < table_rows_; }
  int64_t first(int64_t row) const { return row ? ends_[row - 1] : 0; }
  bool hot(int64_t row, int64_t width) const { return (ends_[row] - first(row)) * width > kHotWork; }

  int64_t table_rows_;
  int32_t* ends_;     // [table_rows] past the last source of each row
  int32_t* sources_;  // [ids]
};

}  // namespace userllm
