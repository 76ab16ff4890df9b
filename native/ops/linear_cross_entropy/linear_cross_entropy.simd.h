#pragma once
#include "devices/cpu/simd.h"

namespace userllm {

// Rows are cut into strips, classes into tiles and widths into panels of these sizes, on every instruction set.
constexpr int64_t kStripRows = 96, kTileClasses = 12, kPanelWidth = 32;
// Classes whose exponentials stay in cache between the product that makes them and those that use them.
constexpr int64_t kMaxGroupClasses = 192;

// One block of classes against one chunk of rows: what the kernels below read and write.
template <class T> struct LceBlock {
  const T* x;  // pack_rows(): [panels of rows][width][rows of a panel]
  int64_t rows, width;

  const T* weight;  // [classes, width]
  const T* bias;    // [classes], or null
  int64_t classes;
  T soft_cap;  // 0: none

  // By row of the chunk.
  T* maxima;          // what is subtracted before the exponential: near the largest score so far
  T* sums;            // of the exponentials
  T* score_sums;      // of the scores, or null
  const T* log_sums;  // of all exponentials less the maximum, which is then the row's
  const T* factors;   // of the exponentials in the gradients

  // Exponentials times the slope of the soft cap: [strip][class][kStripRows].
  T* exponentials;
  int64_t strip_stride;  // elements
  bool kept;             // of all classes; otherwise of one group

  T* x_grad;  // [rows, padded width], or null

  const T* scaled_x;      // scale_rows(): [panels of width][rows][width of a panel]
  T* weight_grad;         // [classes, width], or null
  T* bias_grad;           // [classes], or null
  const T* weight_start;  // where the gradients start from: [width]; null: go on from what is there
  T bias_start;
  T floor;  // subtracted from the probabilities
};

#define LCE_DECLARE(T, suffix)                                                                                        \
  /* Rows of x by index as panels for the products with the weight, padded with zeros. */                             \
  SIMD_DECLARE(void, lce_pack_rows_##suffix, (const T* x, const int32_t* index, int64_t rows, int64_t width, T* to))  \
  /* Strips [first, last): maxima, sums, and what else has a place: exponentials, their products with the weight. */  \
  SIMD_DECLARE(void, lce_scores_##suffix, (const LceBlock<T>& block, int64_t first, int64_t last))                    \
  /* Rows times their factors, as panels for the gradient of the weight. */                                           \
  SIMD_DECLARE(void, lce_scale_rows_##suffix,                                                                         \
               (const T* x, const int32_t* index, const T* factors, int64_t rows, int64_t width, T* to))              \
  /* Gradients of weight and bias from the exponentials that were kept. */                                            \
  SIMD_DECLARE(void, lce_weight_grad_##suffix, (const LceBlock<T>& block))                                            \
  /* All gradients, with the probabilities made again from the scores and their log-sums. */                          \
  SIMD_DECLARE(void, lce_recompute_##suffix, (const LceBlock<T>& block))                                              \
  /* The score of one class for one row, with the rounding of lce_scores(). */                                        \
  SIMD_DECLARE(T, lce_score_##suffix, (const T* x, const T* weight, T bias, T soft_cap, int64_t width))               \
  /* to[i] = sum of factors[b] parts[b, i], strides in elements */                                                    \
  SIMD_DECLARE(                                                                                                       \
      void, lce_combine_##suffix,                                                                                     \
      (const T* parts, int64_t stride, const T* factors, int64_t factor_stride, int64_t count, T* to, int64_t width)) \
  SIMD_DECLARE(void, lce_add_scaled_##suffix, (const T* x, T factor, T* to, int64_t width))

LCE_DECLARE(float, f32)
LCE_DECLARE(double, f64)

// Classes of a group, a multiple of kTileClasses: the group's weights share the second-level cache with a strip of x.
inline constexpr int64_t lce_group_classes(int64_t width, int64_t element) {
  const int64_t fitting = (int64_t{400} << 10) / (width * element + 1) / 48 * 48;
  return fitting < 48 ? 48 : fitting > kMaxGroupClasses ? kMaxGroupClasses : fitting;
}

}  // namespace userllm
