#pragma once
#include "devices/cpu/simd.h"

namespace userllm {

// A tile of scores, [kLceTileClasses, up to kLceTileRows], as the block product leaves it: rows of x in its columns.
// Whole groups of 16 columns are worked on.
constexpr int64_t kLceTileClasses = 32, kLceTileRows = 96;

// What exponentials are taken of is x · kLog2E, for powers of two.
constexpr float kLog2E = 1.44269504f;

struct LceTile {
  float* scores;  // [kLceTileClasses, kLceTileRows]
  int64_t classes, columns;

  const float* bias;  // [classes], or null
  float soft_cap;     // 0: none

  // By column. Maxima are of scores · kLog2E.
  float *maxima, *sums;
  float* score_sums;      // or null
  const float* factors;   // of the exponentials in the gradient
  const float* subtract;  // from the gradient of every class

  // Gradients, rounded: [classes, row_stride] for the product with x, and as panels [columns / 16][kLceTileClasses / 2]
  // [16][2] for that with the weight. Classes of the tile beyond `classes` are zeros in the panels, and columns up to
  // the next multiple of 32 in the rows.
  uint16_t* rows;
  int64_t row_stride;
  uint16_t* panels;
  int64_t panel_stride;
};

struct LceBf16Kernels {
  // scores = soft cap of scores + bias
  void (*cap)(const LceTile&);
  // Maxima and sums of exponentials.
  void (*sums)(const LceTile&);
  // scores become gradients: exponentials · factors - subtract, times the slope of the soft cap.
  void (*gradients)(const LceTile&);
  // Rounds gradients.
  void (*round)(const LceTile&);
  // Both in one.
  void (*rounded_gradients)(const LceTile&);
  // Plain rounding of many values.
  void (*round_values)(const float* from, uint16_t* to, int64_t count);
};

SIMD_DECLARE(const LceBf16Kernels&, lce_bf16_kernels, ())
#if defined(USER_LLM_HAS_BF16)
const LceBf16Kernels& lce_bf16_kernels_avx512bf16();
#endif

}  // namespace userllm
