#include "ops/embedding/embedding.simd.h"

#include "devices/cpu/vector.simd.h"

namespace userllm {
namespace {

constexpr int64_t kTermsPerBlock = 256;  // blocks are summed apart, so that rounding grows slowly

// `kVectors` whole vectors of columns from `column` on, or a part of one.
template <class T, int kVectors> SIMD_INLINE void sum_columns(const RowSum<T>& t, int64_t column, int64_t lanes) {
  Vec<T> total[kVectors] = {};
  for (int64_t begin = 0; begin < t.count; begin += kTermsPerBlock) {
    const int64_t end = begin + kTermsPerBlock < t.count ? begin + kTermsPerBlock : t.count;
    Vec<T> block[kVectors] = {};
    for (int64_t i = begin; i < end; ++i) {
      const T* row = t.rows + t.index[i] * t.stride + column;
      const T scale = t.scales ? t.scales[t.index[i]] : 1;
      for (int v = 0; v < kVectors; ++v) block[v] += scale * load_lanes(row + v * kLanes<T>, lanes);
    }
    for (int v = 0; v < kVectors; ++v) total[v] += block[v];
  }
  for (int v = 0; v < kVectors; ++v) store_lanes(t.sum + column + v * kLanes<T>, t.scale * total[v], lanes);
}

template <class T> SIMD_INLINE void sum_rows(const RowSum<T>& t) {
  int64_t column = 0;
  for (; column + 4 * kLanes<T> <= t.width; column += 4 * kLanes<T>) sum_columns<T, 4>(t, column, kLanes<T>);
  for (; column + kLanes<T> <= t.width; column += kLanes<T>) sum_columns<T, 1>(t, column, kLanes<T>);
  if (column < t.width) sum_columns<T, 1>(t, column, t.width - column);
}

}  // namespace

SIMD_DEFINE(void, sum_rows_f32, (const RowSum<float>& task)) { sum_rows(task); }
SIMD_DEFINE(void, sum_rows_f64, (const RowSum<double>& task)) { sum_rows(task); }

}  // namespace userllm
