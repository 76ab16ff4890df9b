#pragma once
#include "devices/cpu/simd.h"

namespace userllm {

// sum = scale · Σ scales[index[i]] · rows[index[i]] over `count` indices in order, `width` elements of rows that are
// `stride` elements apart. Without `scales` each is 1.
template <class T> struct RowSum {
  const T* rows;
  int64_t stride;
  const int32_t* index;
  int64_t count;
  const T* scales;
  T scale;
  int64_t width;
  T* sum;
};

SIMD_DECLARE(void, sum_rows_f32, (const RowSum<float>& task))
SIMD_DECLARE(void, sum_rows_f64, (const RowSum<double>& task))

}  // namespace userllm
